/**
 * Reads the stream of events from a position on, without gaps and repeats.
 *
 * ```text
 *   away ---- connected ----> checked ---- consumer created -> reading --+
 *    ^                           |                                |      | a batch ended
 *    |                           v                                |<-----+
 *    +--- connection lost    EVENTS_NOT_HELD                      |
 *    +------------------------------------------------------------+
 * ```
 *
 * The reader pulls: it requests a bounded batch, and the next one when that batch is consumed. So a slow reader delays only
 * itself and keeps at most one batch in memory. After every loss it starts again after the last event that it delivered.
 *
 * Retention may overtake a reader that is slow or was disconnected. The server would continue silently with the oldest event that
 * it has. The reader compares the oldest event with its position, and lost events are an error.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { Consumer } from "@nats-io/jetstream";
import { PaddockError } from "@paddock/domain";
import { type Event, EventSchema, fromBinaryIfValid } from "@paddock/protocol";
import type { EventExtent, EventPosition, EventStream } from "./event-stream.ts";
import { BATCH, fetchBatch } from "./fetch-batch.ts";

/**
 * The result of a read: an event with the position after it, or a position alone when everything before it has been delivered:
 * once at that time, and regularly while no events come.
 */
export type StreamedEvent = { readonly position: EventPosition; readonly event?: Event };

export type ReadOptions = {
  /** Only events of this sandbox. */
  readonly sandboxId?: string | undefined;
  readonly signal: AbortSignal;
  /** How long a batch waits for events before the reader gets a position alone, in milliseconds. */
  readonly quietMs?: number;
};

const QUIET_MS = 30_000;
const RETRY_MS = 250;
/** How long the server keeps the consumer of an idle reader. A slower reader creates a new consumer. */
const FORGET_AFTER_MS = 120_000;

/**
 * Events after a position, until the signal is aborted. Waits while the connection is lost. Throws `PaddockError` EVENTS_NOT_HELD
 * if events after the position are no longer kept, or the stream is another one.
 */
export async function* readEvents(
  stream: EventStream,
  after: EventPosition,
  options: ReadOptions,
): AsyncGenerator<StreamedEvent> {
  let position = after;
  while (!options.signal.aborted) {
    try {
      for await (const each of readConnected(stream, position, options)) {
        position = each.position;
        yield each;
      }
    } catch (error) {
      if (error instanceof PaddockError && error.reason === "EVENTS_NOT_HELD") throw error;
      // The connection is lost, the server is starting, or the consumer no longer exists. The next attempt follows.
    }
    if (!options.signal.aborted)
      await pause(RETRY_MS, undefined, { signal: options.signal }).catch(() => undefined);
  }
}

/** Throws `PaddockError` EVENTS_NOT_HELD unless all events after the position are kept. */
export function requireHeld(position: EventPosition, extent: EventExtent): void {
  const problem = problemOf(position, extent);
  if (problem === undefined) return;
  throw new PaddockError("EVENTS_NOT_HELD", `cannot continue after event ${position.sequence}: ${problem}`, {
    metadata: {
      first_held: String(extent.firstSequence),
      last_held: String(extent.lastSequence),
    },
    hint: "list the current state, then watch again without a token",
  });
}

function problemOf({ streamCreated, sequence }: EventPosition, extent: EventExtent): string | undefined {
  if (streamCreated !== extent.streamCreated) return "the stream of events was recreated since";
  if (sequence + 1 < extent.firstSequence) return `the oldest kept event is ${extent.firstSequence}`;
  if (sequence > extent.lastSequence) return `the newest kept event is ${extent.lastSequence}`;
  return undefined;
}

async function* readConnected(
  stream: EventStream,
  after: EventPosition,
  options: ReadOptions,
): AsyncGenerator<StreamedEvent> {
  const extent = await stream.extent();
  requireHeld(after, extent);
  using stopped = stream.bus.untilChange(options.signal);
  const { consumer, info } = await stream.consumerAfter(after, options.sandboxId, FORGET_AFTER_MS);
  let position = after;
  let delivered = 0;
  let isBehind = info.num_pending > 0;
  try {
    if (!isBehind) {
      position = { ...position, sequence: extent.lastSequence };
      yield { position };
    }
    while (!stopped.signal.aborted) {
      const before = await stream.extent();
      requireHeld(position, before);
      let count = 0;
      for await (const message of fetchBatch(consumer, options.quietMs ?? QUIET_MS, stopped.signal)) {
        // A message of this consumer was lost: start again after the last one.
        if (message.info.deliverySequence !== delivered + 1) return;
        delivered += 1;
        count += 1;
        position = { ...position, sequence: message.seq };
        // Undefined for bytes that are not an event of a node.
        const event = fromBinaryIfValid(EventSchema, message.data);
        yield event === undefined ? { position } : { position, event };
        if (isBehind && message.info.pending === 0) yield { position };
        isBehind &&= message.info.pending > 0;
      }
      if (stopped.signal.aborted || count === BATCH) continue;
      if (!(await hasTold(consumer, delivered))) return;
      // No more came in all this time: everything that existed at the start of the batch was delivered, for all sandboxes.
      if (before.lastSequence > position.sequence) position = { ...position, sequence: before.lastSequence };
      yield { position };
    }
  } finally {
    await consumer.delete().catch(() => false);
  }
}

/** Whether everything for this consumer was delivered and has arrived. */
async function hasTold(consumer: Consumer, delivered: number): Promise<boolean> {
  const info = await consumer.info();
  return info.delivered.consumer_seq === delivered && info.num_pending === 0;
}
