/**
 * The agent's services as connect-node transports on one session, with bounds against hostile answers.
 *
 * The size of a message bounds the time and memory of decoding it (an empty sub-message takes 2 bytes and becomes an object: 1
 * MiB takes 0.4 s and 90 MB), so it depends on the method: lists may have 1 MiB, a piece of output 64 KiB and its frame, a piece
 * of a file 256 KiB and its frame, everything else 256 KiB. Streams are read at a bounded pace. Unknown fields are dropped, because each would become an object.
 * Compression is off: the link is a memory copy, and a guest could send a decompression bomb.
 */
import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError, type StreamResponse, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { agentpb } from "@paddock/protocol";
import { guestError } from "./guest-error.ts";
import { AUTHORITY, type GuestSession } from "./guest-session.ts";
import { MessagePace } from "./message-pace.ts";
import { type StealReader, VmDeadline } from "./vm-deadline.ts";

/** Timeout of a unary call whose caller sets none, in ms. */
const DEFAULT_TIMEOUT_MS = 10_000;
const LIST_BYTES = 1024 * 1024;
/** A request may contain files for containers. */
const REQUEST_BYTES = 4 * 1024 * 1024;
const MESSAGES_PER_SECOND = 5000;
const ANSWER_BYTES = 256 * 1024;
const STREAMED_BYTES = 128 * 1024;
const COPIED_BYTES = 320 * 1024;

const LISTS: ReadonlySet<DescMethod> = new Set([
  agentpb.ContainerService.method.listContainers,
  agentpb.ContainerService.method.getContainer,
  agentpb.ContainerService.method.listProcesses,
  agentpb.NetworkService.method.listInterfaces,
  agentpb.NetworkService.method.listRoutes,
  agentpb.NetworkService.method.updateRoutes,
  agentpb.FileService.method.listFiles,
]);

/** Streams of large pieces. */
const COPIES: ReadonlySet<DescMethod> = new Set<DescMethod>([agentpb.FileService.method.copyFrom]);

/**
 * A transport on `session`. Calls fail with `PaddockError`. `timeoutMs` is in the time of the VM (`VmDeadline`); 0 or less means
 * no deadline; not set means 10 s for a unary call and none for a stream.
 */
export function guestTransport(session: GuestSession, steal: StealReader): Transport {
  const withLimit = (readMaxBytes: number) =>
    createGrpcTransport({
      baseUrl: AUTHORITY,
      sessionManager: session,
      acceptCompression: [],
      readMaxBytes,
      writeMaxBytes: REQUEST_BYTES,
      binaryOptions: { readUnknownFields: false },
    });
  const lists = withLimit(LIST_BYTES);
  const answers = withLimit(ANSWER_BYTES);
  const streams = withLimit(STREAMED_BYTES);
  const copies = withLimit(COPIED_BYTES);
  const pace = new MessagePace(MESSAGES_PER_SECOND);
  const failure = (error: unknown, method: DescMethod, signal: AbortSignal | undefined) => {
    if (signal?.aborted) throw signal.reason;
    throw session.end?.error ?? guestError(error, method);
  };
  return {
    async unary(method, signal, timeoutMs = DEFAULT_TIMEOUT_MS, ...rest) {
      const transport = LISTS.has(method) ? lists : answers;
      using deadline = new VmDeadline(timeoutMs, steal, signal);
      return await transport
        .unary(method, deadline.signal, 0, ...rest)
        .catch((error) => failure(deadline.isOver ? timedOut(deadline) : error, method, signal));
    },
    async stream(method, signal, ...rest) {
      const transport = COPIES.has(method) ? copies : streams;
      const response = await transport
        .stream(method, signal, ...rest)
        .catch((error) => failure(error, method, signal));
      return guarded(response, pace, (error) => failure(error, method, signal));
    },
  };
}

function timedOut({ stolenMs }: VmDeadline): ConnectError {
  const stolen = stolenMs < 1000 ? "" : `; its host had no CPU for it for ${(stolenMs / 1000).toFixed(1)} s`;
  return new ConnectError(`the operation timed out${stolen}`, Code.DeadlineExceeded);
}

function guarded<R extends Pick<StreamResponse, "message">>(
  response: R,
  pace: MessagePace,
  fail: (error: unknown) => never,
): R {
  const { message } = response;
  return {
    ...response,
    message: {
      [Symbol.asyncIterator]() {
        const iterator = message[Symbol.asyncIterator]();
        const next = () => iterator.next().catch(fail);
        return { next: () => pace.next()?.then(next) ?? next() };
      },
    },
  };
}
