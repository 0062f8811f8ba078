/**
 * A transport whose calls carry a request id and a token, have a deadline, are retried while the api is unavailable, and fail
 * with `PaddockError`s.
 *
 * Every unary call of the api may be retried: it reads, it is idempotent (`idempotency_level` in the protocol), or it has a
 * request id that makes the second call a copy of the first. A stream is opened once; the code that resumes it knows its offsets
 * or its token.
 */
import type { DescMessage, DescMethod, MessageShape } from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import { ProcessService, REQUEST_ID_KEY } from "@paddock/protocol";
import { failureOf } from "./call-failure.ts";
import { identified, newRequestId } from "./request-id.ts";
import { retried } from "./retry.ts";

/** Booting a VM under emulation on a busy host takes long. */
const CALL_TIMEOUT_MS = 180_000;

export type ApiClientOptions = {
  /**
   * Carries the calls, and belongs to the caller. It fails with `ConnectError`s, as those of the Connect packages do, or with
   * `PaddockError`s.
   */
  readonly transport: Transport;
  /** The api's bearer token. */
  readonly token?: string | undefined;
  /** How long a unary call may take if its options have no deadline, in milliseconds. Default: 3 minutes. */
  readonly timeoutMs?: number | undefined;
  /** Names the program in the request ids that the api logs, such as "cli". Default: "client". */
  readonly requestIdPrefix?: string | undefined;
};

export function safeTransport(options: ApiClientOptions): Transport {
  const { transport, requestIdPrefix, timeoutMs: callTimeoutMs = CALL_TIMEOUT_MS } = options;
  const newId = () => newRequestId(requestIdPrefix);
  return {
    unary: (method, signal, timeoutMs, header, input, contextValues) => {
      const { request, requestId } = identified(method.input, input, newId);
      const headers = headersOf(header, options.token, requestId);
      const limitMs = timeoutMs ?? (waits(method) ? undefined : callTimeoutMs);
      return retried(async () => {
        try {
          return await transport.unary(method, signal, limitMs, headers, request, contextValues);
        } catch (error) {
          throw failureOf(error, signal);
        }
      }, signal);
    },
    stream: async (method, signal, timeoutMs, header, input, contextValues) => {
      const headers = headersOf(header, options.token, undefined);
      try {
        const response = await transport.stream(method, signal, timeoutMs, headers, input, contextValues);
        return { ...response, message: withFailures(response.message, signal) };
      } catch (error) {
        throw failureOf(error, signal);
      }
    },
  };
}

/** Whether the call takes as long as the event that it waits for. */
const waits = (method: DescMethod): boolean => method.name === ProcessService.method.waitProcess.name;

function headersOf(
  given: ConstructorParameters<typeof Headers>[0],
  token: string | undefined,
  requestId: string | undefined,
): Headers {
  const headers = new Headers(given);
  if (token !== undefined) headers.set("authorization", `Bearer ${token}`);
  if (requestId !== undefined) headers.set(REQUEST_ID_KEY, requestId);
  return headers;
}

async function* withFailures<O extends DescMessage>(
  responses: AsyncIterable<MessageShape<O>>,
  signal: AbortSignal | undefined,
): AsyncGenerator<MessageShape<O>> {
  try {
    yield* responses;
  } catch (error) {
    throw failureOf(error, signal);
  }
}
