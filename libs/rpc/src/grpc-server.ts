/**
 * Serves bound methods by grpc-js.
 *
 * Responses are written one at a time: the handler is asked for the next when the HTTP/2 stack has written the one before to the
 * socket, within the client's flow control window. So a slow client slows the handler, and when a handler's `yield` returns, the
 * client's transport has the bytes, up to the few that `write-ahead.ts` lets gather.
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
import { type CallHead, type EdgeOptions, edgeMethods, type OpenCall, openCall } from "./call-edge.ts";
import { grpcMethod } from "./grpc-codec.ts";
import { toServiceError } from "./grpc-error.ts";
import { SERVER_OPTIONS } from "./grpc-limits.ts";
import { formatHostPort, type HostPort } from "./host-port.ts";
import { type AnyHandler, type BoundMethod, isIterable } from "./service-handlers.ts";
import { TurnBudget } from "./turn-budget.ts";

type Surface = {
  readonly metadata: Metadata;
  readonly cancelled: boolean;
  getPeer(): string;
  getDeadline(): Date | number;
  on(event: "cancelled", listener: () => void): unknown;
};

/** A grpc-js server of bound methods, with our limits. `interceptors` see a call before its handler does. */
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

/** Listens; answers with the port that was got. Without `credentials` connections are plain text. Rejects when the address cannot be had. */
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

/** Takes no more calls; resolves when those in flight have ended. */
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
    case "unary": {
      const unary: handleUnaryCall<Message, Message> = (call, callback) => {
        answerOnce(open(call), call.request, handle, callback);
      };
      return unary;
    }
    case "client_streaming": {
      const clientStream: handleClientStreamingCall<Message, Message> = (call, callback) => {
        const opened = open(call);
        answerOnce(opened, requestsOf(call, opened, turns), handle, callback);
      };
      return clientStream;
    }
    case "server_streaming": {
      const serverStream: handleServerStreamingCall<Message, Message> = (call) => {
        void answerMany(call, open(call), call.request, handle);
      };
      return serverStream;
    }
    case "bidi_streaming": {
      const bidi: handleBidiStreamingCall<Message, Message> = (call) => {
        const opened = open(call);
        void answerMany(call, opened, requestsOf(call, opened, turns), handle);
      };
      return bidi;
    }
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
  const { ctx, race } = opened;
  const run = async (): Promise<Message> => {
    const answer = handle(input, ctx);
    if (isIterable(answer)) throw new Error(`the handler of ${ctx.method.name} answers with a stream`);
    return race.run(answer);
  };
  run()
    .then(
      (response) => callback(null, response),
      (error: unknown) => callback(toServiceError(error, ctx.requestId)),
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
  let responses: AsyncIterator<Message> | undefined;
  try {
    const answer = handle(input, ctx);
    if (!isIterable(answer)) throw new Error(`the handler of ${ctx.method.name} answers with one message`);
    responses = answer[Symbol.asyncIterator]();
    for (;;) {
      const { done, value } = await race.run(responses.next());
      if (done) break;
      await race.run(taken(call, toBinary(ctx.method.output, value)));
    }
    call.end();
  } catch (error) {
    // Cleaning up may wait for something that is slow to notice the signal. The client does not wait for it.
    responses?.return?.()?.catch(() => {});
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
