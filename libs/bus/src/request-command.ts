/**
 * The caller's side of commands.
 *
 * An error shows whether the command may have had an effect. Its metadata has `outcome: unknown` if the command was sent and no
 * answer came, or if the node failed in the middle and could not undo everything. Otherwise the command did nothing, or was
 * undone.
 */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  headers,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  NoRespondersError,
  nuid,
  TimeoutError,
} from "@nats-io/transport-node";
import { PaddockError } from "@paddock/domain";
import { nodepb } from "@paddock/protocol";
import type { Bus } from "./bus.ts";
import { CommandWatch } from "./command-watch.ts";
import type { NodeView } from "./node-registry.ts";
import { COMMAND_ID_HEADER, cancelSubject, commandSubject, TIME_LEFT_HEADER } from "./subjects.ts";

export type RequestCommandOptions = {
  /** When the caller stops waiting, by this host's clock. */
  readonly deadline: Date;
  /** When the node stops, by this host's clock; `deadline` by default. The remaining time is sent. */
  readonly nodeDeadline?: Date;
  /** When it aborts, cancels the command on the node and stops waiting. */
  readonly signal?: AbortSignal;
  /** When `signal` aborts, still wait until the deadline for the outcome of the command. */
  readonly awaitOutcome?: boolean;
  /** Heartbeats of the nodes. They reveal a node that is connected and silent. */
  readonly nodes?: NodeView;
  /** `traceparent` and `tracestate`. */
  readonly trace?: { readonly traceparent?: string; readonly tracestate?: string };
};

/** Longest delay of a timer. */
const MAX_WAIT_MS = 2 ** 31 - 1;
/** Reserved for the headers. */
const HEADER_BYTES = 1024;

/**
 * Sends a command to a node and waits for its outcome, which may be an error of the node (`response.outcome.case === "error"`).
 * Throws `PaddockError`: NODE_UNAVAILABLE (at once if the node is not connected; within seconds and with an unknown outcome if
 * its daemon ends), DEADLINE, BUS_UNAVAILABLE (no connection, or lost while waiting), TOO_LARGE (more than the bus carries,
 * usually 1 MiB), or the reason of `signal`.
 */
export async function requestCommand(
  bus: Bus,
  nodeId: string,
  command: nodepb.CommandRequest,
  options: RequestCommandOptions,
): Promise<nodepb.CommandResponse> {
  const connection = bus.connection();
  const payload = encode(command, connection);
  const commandId = nuid.next();
  const waitMs = Math.min(options.deadline.getTime() - Date.now(), MAX_WAIT_MS);
  if (waitMs <= 0) throw tooLate(nodeId, {});
  if (options.signal?.aborted) throw abortReason(options.signal, {});
  const reply = connection.request(commandSubject(nodeId), payload, {
    timeout: waitMs,
    headers: headersOf(commandId, options),
  });
  const message = await replyOrFailure(reply, bus, { ...options, nodeId, commandId }).catch(
    (error: unknown) => {
      throw typed(error, nodeId);
    },
  );
  return decode(message, nodeId);
}

function encode(command: nodepb.CommandRequest, connection: NatsConnection): Uint8Array {
  const payload = toBinary(nodepb.CommandRequestSchema, command);
  const limit = (connection.info?.max_payload ?? 1024 * 1024) - HEADER_BYTES;
  if (payload.length <= limit) return payload;
  throw new PaddockError(
    "TOO_LARGE",
    `the request has ${payload.length} bytes, more than the ${limit} a command may have`,
    {
      hint: "provide large files in an image or a volume",
      metadata: { limit_bytes: String(limit) },
    },
  );
}

function headersOf(
  commandId: string,
  { trace, deadline, nodeDeadline = deadline }: RequestCommandOptions,
): MsgHdrs {
  const result = headers();
  result.set(COMMAND_ID_HEADER, commandId);
  result.set(TIME_LEFT_HEADER, String(Math.max(0, nodeDeadline.getTime() - Date.now())));
  if (trace?.traceparent) result.set("traceparent", trace.traceparent);
  if (trace?.tracestate) result.set("tracestate", trace.tracestate);
  return result;
}

type Sent = RequestCommandOptions & { readonly nodeId: string; readonly commandId: string };

/** The reply, or a failure as soon as the caller cancels, the connection is lost or the daemon ends. */
function replyOrFailure(
  reply: Promise<Msg>,
  bus: Bus,
  { nodeId, commandId, nodes, signal, awaitOutcome = false }: Sent,
): Promise<Msg> {
  const { promise, resolve, reject } = Promise.withResolvers<Msg>();
  const watch = new CommandWatch(bus, { nodeId, commandId, nodes }, (why) => reject(lost(nodeId, why)));
  const onAbort = () => {
    if (bus.connected) bus.connection().publish(cancelSubject(nodeId), commandId);
    if (signal && !awaitOutcome) reject(abortReason(signal, UNKNOWN));
  };
  const forget = bus.onChange((connected) => {
    if (!connected) reject(bus.unavailable(UNKNOWN));
  });
  signal?.addEventListener("abort", onAbort, { once: true });
  reply.then(resolve, reject);
  return promise.finally(() => {
    watch[Symbol.dispose]();
    forget();
    signal?.removeEventListener("abort", onAbort);
  });
}

function decode(message: Msg, nodeId: string): nodepb.CommandResponse {
  try {
    return fromBinary(nodepb.CommandResponseSchema, message.data);
  } catch (cause) {
    throw new PaddockError("INTERNAL", `node ${nodeId} sent an unreadable answer`, {
      metadata: UNKNOWN,
      cause,
    });
  }
}

/** The error of a failed request. nats.js wraps the relevant error, so causes are examined, too. */
function typed(error: unknown, nodeId: string): PaddockError {
  for (let each: unknown = error; each instanceof Error; each = each.cause) {
    if (each instanceof PaddockError) return each;
    if (each instanceof NoRespondersError) return notConnected(nodeId, error);
    if (each instanceof TimeoutError) return tooLate(nodeId, UNKNOWN);
  }
  return new PaddockError("BUS_UNAVAILABLE", `the command to node ${nodeId} failed on the bus`, {
    metadata: UNKNOWN,
    cause: error,
  });
}

const UNKNOWN = { outcome: "unknown" } as const;

const notConnected = (nodeId: string, cause: unknown) =>
  new PaddockError("NODE_UNAVAILABLE", `node ${nodeId} is not connected`, {
    hint: `check that the node daemon runs on ${nodeId} and reaches NATS`,
    metadata: { node_id: nodeId },
    retryAfterMs: 1_000,
    cause,
  });

const lost = (nodeId: string, why: string) =>
  new PaddockError("NODE_UNAVAILABLE", `node ${nodeId} was lost before it answered: ${why}`, {
    hint: "repeat the call with the same request id: any partial work of the node is finished or undone, and nothing is done twice",
    metadata: { node_id: nodeId, ...UNKNOWN },
    retryAfterMs: 1_000,
  });

const tooLate = (nodeId: string, metadata: Readonly<Record<string, string>>) =>
  new PaddockError("DEADLINE", `node ${nodeId} did not answer before the deadline`, {
    metadata: { node_id: nodeId, ...metadata },
  });

function abortReason(signal: AbortSignal, metadata: Readonly<Record<string, string>>): PaddockError {
  const reason: unknown = signal.reason;
  if (!(reason instanceof PaddockError)) {
    return new PaddockError("CANCELLED", "the call was given up", { metadata, cause: reason });
  }
  return new PaddockError(reason.reason, reason.message, {
    metadata: { ...reason.metadata, ...metadata },
    cause: reason,
  });
}
