/**
 * Serves bound methods with connect-node: Connect (binary and JSON), gRPC-Web, and gRPC for clients of this port.
 *
 * The handlers are the same as on grpc-js. One difference: when `yield` returns, the message is in the socket's buffer within its
 * high-water mark; connect-node has no callback such as grpc-js waits for.
 */
import type { DescMethod, Message } from "@bufbuild/protobuf";
import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import { toConnectError } from "@paddock/protocol";
import {
  type EdgeOptions,
  edgeMethods,
  type OpenCall,
  openCall,
  responseOf,
  responsesOf,
} from "./call-edge.ts";
import { MAX_MESSAGE_BYTES } from "./grpc-limits.ts";
import type { AnyHandler, BoundMethod } from "./service-handlers.ts";

/** Options for `connectNodeAdapter` that go with these routes. */
export const CONNECT_OPTIONS = {
  readMaxBytes: MAX_MESSAGE_BYTES,
  writeMaxBytes: MAX_MESSAGE_BYTES,
} as const;

/** Adds the methods (of `bindService`) to a router. `peer` is the client's address, from the HTTP request. */
export function connectRoutes(
  methods: readonly BoundMethod[],
  options: EdgeOptions,
  peer: (context: HandlerContext) => string,
): (router: ConnectRouter) => void {
  const bound = edgeMethods(methods, options);
  return (router) => {
    for (const { method, handle } of bound) addRoute(router, method, handle, options, peer);
  };
}

function addRoute(
  router: ConnectRouter,
  method: DescMethod,
  handle: AnyHandler,
  options: EdgeOptions,
  peer: (context: HandlerContext) => string,
): void {
  const open = (context: HandlerContext) => openConnectCall(method, context, options, peer);
  const once = (input: Message | AsyncIterable<Message>, context: HandlerContext) =>
    answerOnce(open(context), input, handle);
  const many = (input: Message | AsyncIterable<Message>, context: HandlerContext) =>
    answerMany(open(context), input, handle);
  switch (method.methodKind) {
    case "unary":
      router.rpc({ ...method, methodKind: method.methodKind }, once);
      return;
    case "client_streaming":
      router.rpc({ ...method, methodKind: method.methodKind }, once);
      return;
    case "server_streaming":
      router.rpc({ ...method, methodKind: method.methodKind }, many);
      return;
    case "bidi_streaming":
      router.rpc({ ...method, methodKind: method.methodKind }, many);
      return;
    default:
      method.methodKind satisfies never;
  }
}

function openConnectCall(
  method: DescMethod,
  context: HandlerContext,
  options: EdgeOptions,
  peer: (context: HandlerContext) => string,
): OpenCall {
  const timeoutMs = context.timeoutMs();
  const opened = openCall(
    method,
    {
      metadata: (key) => context.requestHeader.get(key) ?? undefined,
      peer: peer(context),
      clientDeadlineMs: timeoutMs === undefined ? undefined : Date.now() + timeoutMs,
    },
    options,
  );
  if (context.signal.aborted) opened.cancel();
  else context.signal.addEventListener("abort", () => opened.cancel(), { once: true });
  return opened;
}

async function answerOnce(
  opened: OpenCall,
  input: Message | AsyncIterable<Message>,
  handle: AnyHandler,
): Promise<Message> {
  try {
    return await responseOf(opened, input, handle);
  } catch (error) {
    throw toConnectError(error, opened.ctx.requestId);
  } finally {
    opened.close();
  }
}

async function* answerMany(
  opened: OpenCall,
  input: Message | AsyncIterable<Message>,
  handle: AnyHandler,
): AsyncGenerator<Message> {
  try {
    yield* responsesOf(opened, input, handle);
  } catch (error) {
    throw toConnectError(error, opened.ctx.requestId);
  } finally {
    // Also when the client disconnects at a `yield`.
    opened.close();
  }
}
