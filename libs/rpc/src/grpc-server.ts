/**
 * Serves bound methods with grpc-js.
 *
 * Responses are written one at a time: the next one is requested from the handler when the HTTP/2 stack has written the previous
 * one to the socket, within the client's flow control window. So a slow client slows the handler, and when a handler's `yield`
 * returns, the client's transport has the bytes, except the few that `write-ahead.ts` collects.
 */
import type { Writable } from "node:stream";
import { type Message, toBinary } from "@bufbuild/protobuf";
import {
  type handleBidiStreamingCall,
  type handleClientStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  type Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerInterceptor,
  type ServerReadableStream,
  type ServerWritableStream,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import {
  type CallHead,
  type EdgeOptions,
  edgeMethods,
  type OpenCall,
  openCall,
  responseOf,
  responsesOf,
} from "./call-edge.ts";
import { grpcMethod } from "./grpc-codec.ts";
import { toServiceError } from "./grpc-error.ts";
import { SERVER_OPTIONS } from "./grpc-limits.ts";
import { formatHostPort, type HostPort } from "./host-port.ts";
import type { AnyHandler, BoundMethod } from "./service-handlers.ts";
import { TurnBudget } from "./turn-budget.ts";

type Surface = {
  readonly metadata: Metadata;
  readonly cancelled: boolean;
  getPeer(): string;
  getDeadline(): Date | number;
  on(event: "cancelled", listener: () => void): unknown;
};

/** A grpc-js server of bound methods, with the limits above. `interceptors` see a call before its handler does. */
export function createGrpcServer(
  methods: readonly BoundMethod[],
  options: EdgeOptions,
  interceptors: readonly ServerInterceptor[] = [],
): Server {
  const ours = SERVER_OPTIONS.interceptors;
  const server = new Server({ ...SERVER_OPTIONS, interceptors: [...interceptors, ...ours] });
  addGrpcMethods(server, methods, options);
  return server;
}

/**
 * Listens, and returns the assigned port. Without `credentials` connections are plain text. Rejects if the address cannot be
 * used.
 */
export function bindGrpcServer(
  server: Server,
  address: HostPort,
  credentials = ServerCredentials.createInsecure(),
): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.bindAsync(formatHostPort(address), credentials, (error, port) =>
    error ? reject(error) : resolve(port),
  );
  return promise;
}

/** Accepts no more calls. Resolves when those in flight have ended. */
export const drainGrpcServer = (server: Server): Promise<void> =>
  new Promise((resolve) => server.tryShutdown(() => resolve()));

/** Adds the methods (of `bindService`) of one or more services to a grpc-js server. */
export function addGrpcMethods(server: Server, methods: readonly BoundMethod[], options: EdgeOptions): void {
  const turns = new TurnBudget();
  const byService = Map.groupBy(edgeMethods(methods, options), ({ method }) => method.parent);
  for (const bound of byService.values()) {
    const definition: Record<string, ServiceDefinition[string]> = {};
    const implementation: UntypedServiceImplementation = {};
    for (const each of bound) {
      definition[each.method.localName] = grpcMethod(each.method);
      implementation[each.method.localName] = grpcHandler(each, options, turns);
    }
    server.addService(definition, implementation);
  }
}

function grpcHandler(
  { method, handle }: BoundMethod,
  options: EdgeOptions,
  turns: TurnBudget,
): UntypedServiceImplementation[string] {
  const open = (call: Surface): OpenCall => {
    const opened = openCall(method, headOf(call), options);
    if (call.cancelled) opened.cancel();
    call.on("cancelled", () => opened.cancel());
    return opened;
  };
  switch (method.methodKind) {
    case "unary":
      return ((call, callback) => {
        answerOnce(open(call), call.request, handle, callback);
      }) satisfies handleUnaryCall<Message, Message>;
    case "client_streaming":
      return ((call, callback) => {
        const opened = open(call);
        answerOnce(opened, requestsOf(call, opened, turns), handle, callback);
      }) satisfies handleClientStreamingCall<Message, Message>;
    case "server_streaming":
      return ((call) => {
        void answerMany(call, open(call), call.request, handle);
      }) satisfies handleServerStreamingCall<Message, Message>;
    case "bidi_streaming":
      return ((call) => {
        const opened = open(call);
        void answerMany(call, opened, requestsOf(call, opened, turns), handle);
      }) satisfies handleBidiStreamingCall<Message, Message>;
    default:
      return method.methodKind satisfies never;
  }
}

function answerOnce(
  opened: OpenCall,
  input: Message | AsyncIterable<Message>,
  handle: AnyHandler,
  callback: (error: ReturnType<typeof toServiceError> | null, response?: Message) => void,
): void {
  responseOf(opened, input, handle)
    .then(
      (response) => callback(null, response),
      (error: unknown) => callback(toServiceError(error, opened.ctx.requestId)),
    )
    .finally(() => opened.close());
}

async function answerMany(
  call: ServerWritableStream<Message, Message> | ServerDuplexStream<Message, Message>,
  opened: OpenCall,
  input: Message | AsyncIterable<Message>,
  handle: AnyHandler,
): Promise<void> {
  const { ctx, race } = opened;
  try {
    for await (const response of responsesOf(opened, input, handle))
      await race.run(taken(call, toBinary(ctx.method.output, response)));
    call.end();
  } catch (error) {
    if (!call.destroyed) call.emit("error", toServiceError(error, ctx.requestId));
  } finally {
    opened.close();
  }
}

const taken = (call: Writable, encoded: Uint8Array) =>
  new Promise<void>((resolve, reject) => {
    call.write(encoded, (error?: Error | null) => (error ? reject(error) : resolve()));
  });

async function* requestsOf(
  call: ServerReadableStream<Message, Message> | ServerDuplexStream<Message, Message>,
  { ctx, race }: OpenCall,
  turns: TurnBudget,
): AsyncGenerator<Message> {
  const incoming: AsyncIterator<Message> = call.iterator({ destroyOnReturn: false });
  for (;;) {
    const { done, value } = await race.run(incoming.next());
    if (done) {
      ctx.signal.throwIfAborted();
      return;
    }
    const turn = turns.next();
    if (turn !== undefined) await race.run(turn);
    yield value;
  }
}

function headOf(call: Surface): CallHead {
  const deadline = Number(call.getDeadline());
  return {
    metadata: (key) => {
      const value = call.metadata.get(key)[0];
      return typeof value === "string" ? value : undefined;
    },
    peer: call.getPeer(),
    clientDeadlineMs: Number.isFinite(deadline) ? deadline : undefined,
  };
}
