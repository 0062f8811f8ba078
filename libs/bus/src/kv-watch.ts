/**
 * The watch of a bucket.
 *
 * ```text
 *   away ---- connected ----> onBegin ---- all values ----> onFilled ---- changes ----+
 *    ^                                                                                |
 *    +--- connection lost, stream or its consumer gone (noticed within seconds): onLost
 * ```
 *
 * After every loss the watch starts again with all values: after an outage of its server a consumer may be gone or late, and a
 * new one is cheap and reliable. A stream that was lost and recreated counts revisions from 1, so each start reports whether it
 * reads the same stream.
 *
 * Ages are differences of the server's clock alone: the creation time of the consumer minus the storage time of the value.
 */
import { setTimeout as pause } from "node:timers/promises";
import { DeliverPolicy, type JsMsg } from "@nats-io/jetstream";
import type { Bus } from "./bus.ts";
import { BATCH, fetchBatch } from "./fetch-batch.ts";
import { NS_PER_MS, type StoreStream } from "./store-stream.ts";
import { idOfKey } from "./subjects.ts";

export type WatchBegin = {
  /** Rises with each start. */
  readonly epoch: number;
  /** Identifies the stream: its creation time, and how many times it has lost its end since. */
  readonly incarnation: string;
  /** Whether the previous start read another stream, or a longer one, whose values may be lost. */
  readonly isOtherStream: boolean;
};

export type WatchedValue = {
  readonly id: string;
  /** Undefined if it was deleted. */
  readonly value: Uint8Array | undefined;
  readonly revision: number;
  /** How long ago it was stored, in milliseconds; 0 for a new change. */
  readonly ageMs: number;
};

export type KvWatcher = {
  onBegin(begin: WatchBegin): void;
  onValue(value: WatchedValue): void;
  /** All values that existed at the start have been delivered. */
  onFilled(): void;
  /** The watch is no longer current. It restarts as soon as possible. */
  onLost(): void;
};

export type WatchedBucket = { readonly bus: Bus; readonly bucket: string; readonly stream: StoreStream };

const REOPEN_WAIT_MS = 300;
/**
 * How long one request for changes waits, in milliseconds. Then the watch checks that the consumer exists and has delivered
 * everything.
 */
const QUIET_MS = 4_000;
/** How long the server keeps an idle consumer. */
const FORGET_AFTER_MS = 60_000;
const OPERATION_HEADER = "KV-Operation";

/** Watches until `signal` aborts. */
export async function watchBucket(
  bucket: WatchedBucket,
  watcher: KvWatcher,
  signal: AbortSignal,
): Promise<void> {
  const seen = new SeenStream();
  for (let epoch = 1; !signal.aborted; epoch++) {
    using stopped = bucket.bus.untilChange(signal);
    let hasBegun = false;
    try {
      await watchOnce(bucket, seen, watcher, stopped.signal, (isOtherStream) => {
        hasBegun = true;
        watcher.onBegin({ epoch, incarnation: seen.incarnation, isOtherStream });
      });
    } catch {
      // The connection is lost, or the stream does not exist or has no leader yet. The next attempt follows.
    }
    if (hasBegun) watcher.onLost();
    await pause(REOPEN_WAIT_MS, undefined, { signal: stopped.signal }).catch(() => undefined);
  }
}

/** Which stream was read, and how far. After a power loss, or from an old copy, a server has the same stream without its end. */
class SeenStream {
  #created: string | undefined;
  #last = 0;
  #cuts = 0;

  get incarnation(): string {
    return `${this.#created}/${this.#cuts}`;
  }

  /** Whether the stream is another one than before, or has lost its end. */
  begin(created: string, lastSequence: number): boolean {
    const isOther = this.#created !== undefined && this.#created !== created;
    const isCut = !isOther && lastSequence < this.#last;
    if (isCut) this.#cuts += 1;
    this.#created = created;
    this.#last = lastSequence;
    return isOther || isCut;
  }

  read(sequence: number): void {
    this.#last = Math.max(this.#last, sequence);
  }
}

async function watchOnce(
  { bus, bucket, stream }: WatchedBucket,
  seen: SeenStream,
  watcher: KvWatcher,
  stopped: AbortSignal,
  begin: (isOtherStream: boolean) => void,
): Promise<void> {
  await stream.open();
  const filter = { deliver_policy: DeliverPolicy.LastPerSubject, filter_subject: `$KV.${bucket}.>` };
  const opened = await stream.consumer(filter, FORGET_AFTER_MS);
  try {
    // Read after the consumer was created, so that both belong to the same stream.
    const { created, state } = await (await stream.manager()).streams.info(opened.info.stream_name);
    begin(seen.begin(String(created), state.last_seq));
    const reading = {
      ...watcher,
      onValue: (value: WatchedValue) => {
        seen.read(value.revision);
        watcher.onValue(value);
      },
    };
    await follow(opened, `$KV.${bucket}.`, reading, stopped);
  } finally {
    if (bus.connected) await opened.consumer.delete().catch(() => false);
  }
}

/** Delivers values and changes. Returns when a message was lost. Throws when the consumer no longer exists. */
async function follow(
  { consumer, info: { num_pending: pending, created } }: Awaited<ReturnType<StoreStream["consumer"]>>,
  prefix: string,
  watcher: KvWatcher,
  signal: AbortSignal,
): Promise<void> {
  const beganMs = Date.parse(String(created));
  let delivered = 0;
  let isFilled = pending === 0;
  if (isFilled) watcher.onFilled();
  while (!signal.aborted) {
    const before = delivered;
    for await (const message of fetchBatch(consumer, QUIET_MS, signal)) {
      if (message.info.deliverySequence !== delivered + 1) return;
      delivered += 1;
      watcher.onValue(watchedValue(message, prefix, isFilled ? undefined : beganMs));
      if (isFilled || (delivered < pending && message.info.pending > 0)) continue;
      isFilled = true;
      watcher.onFilled();
    }
    if (signal.aborted || delivered - before === BATCH) continue;
    const info = await consumer.info();
    if (info.delivered.consumer_seq !== delivered) return;
    // The pending values were removed in the meantime.
    if (!isFilled && info.num_pending === 0) {
      isFilled = true;
      watcher.onFilled();
    }
  }
}

function watchedValue(message: JsMsg, prefix: string, beganMs: number | undefined): WatchedValue {
  const operation = message.headers?.get(OPERATION_HEADER) ?? "";
  return {
    id: idOfKey(message.subject.slice(prefix.length)),
    value: operation === "" || operation === "PUT" ? message.data : undefined,
    revision: message.seq,
    ageMs: beganMs === undefined ? 0 : Math.max(0, beganMs - message.info.timestampNanos / NS_PER_MS),
  };
}
