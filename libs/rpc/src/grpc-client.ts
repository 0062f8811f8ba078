/**
 * A typed grpc-js client of a service: unary calls are promises, streams are objects to write to and iterate over.
 *
 * Errors are `PaddockError`s with the server's information (`fromServiceError`). A call that its signal ends fails with the
 * signal's reason if that is a `PaddockError`.
 */
import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodBiDiStreaming,
  type DescMethodClientStreaming,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type DescService,
  type Message,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import {
  type ChannelCredentials,
  type ChannelOptions,
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientWritableStream,
  type CallOptions as GrpcCallOptions,
  credentials as grpcCredentials,
  Metadata,
} from "@grpc/grpc-js";
import { PaddockError } from "@paddock/domain";
import { grpcMethod } from "./grpc-codec.ts";
import { fromServiceError } from "./grpc-error.ts";
import { CLIENT_OPTIONS } from "./grpc-limits.ts";

export type CallOptions = {
  /** When to give up; never if undefined. It is sent to the server. */
  readonly deadline?: Date | undefined;
  readonly signal?: AbortSignal | undefined;
  /** ASCII metadata, keys in lower case; undefined values are left out. */
  readonly metadata?: Readonly<Record<string, string | undefined>>;
};

/** Responses of a stream, once, in order. Leaving the loop early cancels the call. */
export type ResponseStream<O> = AsyncIterable<O> & {
  cancel(): void;
};

/** The sending side of a call. */
export type RequestSink<I> = {
  /**
   * Resolves when the transport has accepted the message, which a slow peer delays: await it before the next. Rejects with the
   * call's error if the call has ended.
   */
  write(message: I): Promise<void>;
  /** No more requests (half-close). */
  end(): void;
};

export type DuplexCall<I, O> = ResponseStream<O> & RequestSink<I>;
export type ClientStreamCall<I, O> = RequestSink<I> & { readonly response: Promise<O>; cancel(): void };

type Kinds<I extends DescMessage, O extends DescMessage> = {
  unary: (request: MessageInitShape<I>, options?: CallOptions) => Promise<MessageShape<O>>;
  server_streaming: (request: MessageInitShape<I>, options?: CallOptions) => ResponseStream<MessageShape<O>>;
  client_streaming: (options?: CallOptions) => ClientStreamCall<MessageInitShape<I>, MessageShape<O>>;
  bidi_streaming: (options?: CallOptions) => DuplexCall<MessageInitShape<I>, MessageShape<O>>;
};

/** The methods of a client, by the methods' local names. */
export type GrpcMethods<S extends DescService> = {
  readonly [K in keyof S["method"]]: Kinds<
    S["method"][K]["input"],
    S["method"][K]["output"]
  >[S["method"][K]["methodKind"]];
};

/** A connection to one server. It connects on first use and again after a loss. */
export class GrpcConnection implements Disposable {
  readonly #client: Client;

  /** `address` is "host:port" or "unix:/path"; without `credentials` the connection is plain text. */
  constructor(address: string, credentials?: ChannelCredentials, options?: ChannelOptions) {
    this.#client = new Client(address, credentials ?? grpcCredentials.createInsecure(), {
      ...CLIENT_OPTIONS,
      ...options,
    });
  }

  /** The methods of a service on this connection. */
  service<S extends DescService>(service: S): GrpcMethods<S> {
    const methods = service.methods.map((method) => [method.localName, callerOf(this.#client, method)]);
    // The mapped type ties each caller to its method; TypeScript cannot express that for a loop over all methods.
    return Object.fromEntries(methods) as GrpcMethods<S>;
  }

  /** The function that calls one method on this connection. */
  caller<I extends DescMessage, O extends DescMessage>(method: DescMethodUnary<I, O>): Kinds<I, O>["unary"];
  caller<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
  ): Kinds<I, O>["server_streaming"];
  caller<I extends DescMessage, O extends DescMessage>(
    method: DescMethodClientStreaming<I, O>,
  ): Kinds<I, O>["client_streaming"];
  caller<I extends DescMessage, O extends DescMessage>(
    method: DescMethodBiDiStreaming<I, O>,
  ): Kinds<I, O>["bidi_streaming"];
  caller(method: DescMethod) {
    return callerOf(this.#client, method);
  }

  /** Resolves when the connection is up. Rejects with UNAVAILABLE if it is not up by `deadline`. */
  ready(deadline: Date): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#client.waitForReady(deadline, (error) =>
        error ? reject(new PaddockError("UNAVAILABLE", error.message, { cause: error })) : resolve(),
      );
    });
  }

  /** Ends calls in flight with CANCELLED and closes the connection. */
  close(): void {
    this.#client.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function callerOf(client: Client, method: DescMethod) {
  const { path, requestSerialize, responseDeserialize } = grpcMethod(method);
  const codec = [path, requestSerialize, responseDeserialize] as const;
  const message = (init: MessageInitShape<DescMessage>): Message => create(method.input, init);
  switch (method.methodKind) {
    case "unary":
      return (request: MessageInitShape<DescMessage>, options: CallOptions = {}) =>
        new Promise<Message>((resolve, reject) => {
          const call = client.makeUnaryRequest(
            ...codec,
            message(request),
            metadataOf(options),
            grpcOptions(options),
            (error, response) => {
              release();
              if (response) resolve(response);
              else reject(failure(error, options));
            },
          );
          const release = cancelOn(options.signal, () => call.cancel());
        });
    case "server_streaming":
      return (request: MessageInitShape<DescMessage>, options: CallOptions = {}) => {
        const [metadata, grpc] = [metadataOf(options), grpcOptions(options)];
        return responsesOf(
          client.makeServerStreamRequest(...codec, message(request), metadata, grpc),
          options,
        );
      };
    case "client_streaming":
      return (options: CallOptions = {}) => {
        const { promise, resolve, reject } = Promise.withResolvers<Message>();
        promise.catch(() => {});
        const call = client.makeClientStreamRequest(
          ...codec,
          metadataOf(options),
          grpcOptions(options),
          (error, response) => (response ? resolve(response) : reject(failure(error, options))),
        );
        return { ...sinkOf(call, message, options), response: promise, cancel: () => call.cancel() };
      };
    case "bidi_streaming":
      return (options: CallOptions = {}) => {
        const call = client.makeBidiStreamRequest(...codec, metadataOf(options), grpcOptions(options));
        return { ...responsesOf(call, options), ...sinkOf(call, message, options) };
      };
    default:
      return method.methodKind satisfies never;
  }
}

function responsesOf(
  call: ClientReadableStream<Message> | ClientDuplexStream<Message, Message>,
  options: CallOptions,
): ResponseStream<Message> {
  // The iteration reports the error; without a listener, Node.js would end the process.
  call.on("error", () => {});
  const release = cancelOn(options.signal, () => call.cancel());
  call.on("status", release);
  return {
    cancel: () => call.cancel(),
    async *[Symbol.asyncIterator]() {
      let finished = false;
      try {
        for await (const response of call) yield response;
        finished = true;
      } catch (error) {
        finished = true;
        throw failure(error, options);
      } finally {
        release();
        if (!finished) call.cancel();
      }
    },
  };
}

/** The error of a write after the call has ended without an error. Created once: an error captures a stack. */
const OVER = new PaddockError("CANCELLED", "the call has ended");

function sinkOf(
  call: ClientWritableStream<Message> | ClientDuplexStream<Message, Message>,
  message: (init: MessageInitShape<DescMessage>) => Message,
  options: CallOptions,
): RequestSink<MessageInitShape<DescMessage>> {
  const pending = new Set<(error: unknown) => void>();
  let ended: unknown;
  const fail = (error: unknown) => {
    ended ??= error;
    for (const reject of pending) reject(ended);
    pending.clear();
  };
  // grpc-js drops the callbacks of writes when a call ends, so they are settled here.
  call.on("error", (error) => fail(failure(error, options)));
  call.on("status", (status) => fail(status.code === 0 ? OVER : failure(status, options)));
  return {
    write: (init) =>
      new Promise<void>((resolve, reject) => {
        if (ended !== undefined) {
          reject(ended);
          return;
        }
        pending.add(reject);
        call.write(message(init), (error?: Error | null) => {
          pending.delete(reject);
          if (error) reject(failure(error, options));
          else resolve();
        });
      }),
    end: () => {
      if (ended === undefined) call.end();
    },
  };
}

/** The error of a failed call: the signal's reason if that ended the call, otherwise that of the server or the transport. */
function failure(error: unknown, options: CallOptions): PaddockError {
  const reason: unknown = options.signal?.aborted ? options.signal.reason : undefined;
  return reason instanceof PaddockError ? reason : fromServiceError(error);
}

function metadataOf(options: CallOptions): Metadata {
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(options.metadata ?? {})) {
    if (value !== undefined) metadata.set(key, value);
  }
  return metadata;
}

const grpcOptions = (options: CallOptions): GrpcCallOptions =>
  options.deadline === undefined ? {} : { deadline: options.deadline };

/** Calls `cancel` when the signal aborts. The returned function removes the listener. */
function cancelOn(signal: AbortSignal | undefined, cancel: () => void): () => void {
  if (signal === undefined) return () => {};
  if (signal.aborted) {
    process.nextTick(cancel);
    return () => {};
  }
  signal.addEventListener("abort", cancel, { once: true });
  return () => signal.removeEventListener("abort", cancel);
}
