/**
 * A grpc-js connection as a Connect `Transport`, for code that runs over any transport.
 *
 * Calls fail with `PaddockError`s. Response headers and trailers are empty: `GrpcConnection` does not offer them.
 */
import type { DescMessage, DescMethodStreaming, DescMethodUnary, MessageInitShape } from "@bufbuild/protobuf";
import type { StreamResponse, Transport } from "@connectrpc/connect";
import { PaddockError } from "@paddock/domain";
import type { CallOptions, GrpcConnection, RequestSink } from "./grpc-client.ts";

/** The transport uses `connection` and does not close it. */
export function grpcTransport(connection: GrpcConnection): Transport {
  return {
    unary: async (method, signal, timeoutMs, header, input) => ({
      ...head(method),
      stream: false,
      message: await connection.caller(method)(input, optionsOf(signal, timeoutMs, header)),
    }),
    stream: async (method, signal, timeoutMs, header, input) => ({
      ...head(method),
      stream: true,
      message: responsesOf(connection, method, input, optionsOf(signal, timeoutMs, header)),
    }),
  };
}

const head = <M extends DescMethodUnary | DescMethodStreaming>(method: M) => ({
  service: method.parent,
  method,
  header: new Headers(),
  trailer: new Headers(),
});

const optionsOf = (
  signal: AbortSignal | undefined,
  timeoutMs: number | undefined,
  header: ConstructorParameters<typeof Headers>[0],
): CallOptions => ({
  signal,
  deadline: timeoutMs === undefined ? undefined : new Date(Date.now() + timeoutMs),
  metadata: Object.fromEntries(new Headers(header)),
});

function responsesOf<I extends DescMessage, O extends DescMessage>(
  connection: GrpcConnection,
  method: DescMethodStreaming<I, O>,
  input: AsyncIterable<MessageInitShape<I>>,
  options: CallOptions,
): StreamResponse<I, O>["message"] {
  switch (method.methodKind) {
    case "server_streaming":
      return answersToOne(input, (request) => connection.caller(method)(request, options));
    case "client_streaming": {
      const call = connection.caller(method)(options);
      void sendAll(input, call);
      return once(call.response);
    }
    case "bidi_streaming": {
      const call = connection.caller(method)(options);
      void sendAll(input, call);
      return call;
    }
    default:
      return method satisfies never;
  }
}

async function* answersToOne<I, O>(
  input: AsyncIterable<I>,
  call: (request: I) => AsyncIterable<O>,
): AsyncGenerator<O> {
  for await (const request of input) {
    yield* call(request);
    return;
  }
  throw new PaddockError("INTERNAL", "the call has no request");
}

async function* once<T>(response: Promise<T>): AsyncGenerator<T> {
  yield await response;
}

/** Sends the next request when the transport has accepted the previous one. The responses report a failed call. */
async function sendAll<I>(input: AsyncIterable<I>, call: RequestSink<I> & { cancel(): void }): Promise<void> {
  try {
    for await (const request of input) await call.write(request);
    call.end();
  } catch {
    call.cancel();
  }
}
