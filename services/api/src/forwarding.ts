/**
 * Calls that the node of a sandbox answers: the api forwards them unchanged. A unary call is sent as a command; a call with a
 * streamed answer uses the gRPC connection to the node.
 */
import type { DescMethod, DescMethodServerStreaming, DescService, Message } from "@bufbuild/protobuf";
import {
  type AnyHandler,
  type BoundMethod,
  bindMethods,
  type CallContext,
  type ServiceHandlers,
} from "@paddock/rpc";
import type { ApiContext } from "./api-context.ts";
import { askSandbox } from "./sandboxes/ask-sandbox.ts";
import { sandboxStream } from "./streams/sandbox-stream.ts";

type Named = Message & { readonly sandboxId: string };

/**
 * The methods of a service: those with a handler of the api, the others forwarded. Throws an Error if one cannot be forwarded.
 */
export function forwarding<S extends DescService>(
  api: ApiContext,
  service: S,
  handlers: Partial<ServiceHandlers<S>>,
): BoundMethod[] {
  const others = service.methods.filter(({ localName }) => !Object.hasOwn(handlers, localName));
  return [
    ...bindMethods(service, handlers),
    ...others.map((method) => ({ method, handle: forward(api, method) })),
  ];
}

function forward(api: ApiContext, method: DescMethod): AnyHandler {
  const { methodKind, name, parent, input } = method;
  const namesSandbox = input.fields.some((field) => field.name === "sandbox_id");
  if (namesSandbox && methodKind === "unary")
    return (request, ctx) => askSandbox(api, ctx, { ...method, methodKind }, named(request));
  if (namesSandbox && methodKind === "server_streaming")
    return (request, ctx) => streamOf(api, ctx, { ...method, methodKind }, named(request));
  throw new Error(`${parent.typeName} has no handler for ${name}, which cannot be forwarded`);
}

async function* streamOf(
  api: ApiContext,
  ctx: CallContext,
  method: DescMethodServerStreaming,
  request: Named,
): AsyncGenerator<Message> {
  const { connection, options, failure } = await sandboxStream(api, ctx, request.sandboxId);
  try {
    yield* connection.caller(method)(request, options);
  } catch (error) {
    throw failure(error);
  }
}

function named(request: Message | AsyncIterable<Message>): Named {
  if (isNamed(request)) return request;
  throw new Error("a request without a sandbox cannot be forwarded");
}

const isNamed = (request: Message | AsyncIterable<Message>): request is Named =>
  "$typeName" in request && "sandboxId" in request && typeof request.sandboxId === "string";
