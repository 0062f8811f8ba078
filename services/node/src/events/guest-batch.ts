/**
 * Events of a guest, gathered for one write.
 *
 * An exit of an exec only concerns watchers, and a busy sandbox has many: each would cost a write to disk that delays the
 * answer to a client of that exec. So they are gathered for a moment. Events that change the record (the exit of an init, an
 * OOM kill) are written at once, together with earlier ones, in order. Gathering loses nothing: the guest sends every event
 * again that the record does not include.
 *
 * A flooding guest waits here and delays no other guest: a full batch is written, and the next one waits.
 */
import type { agentpb } from "@paddock/protocol";

export type GuestBatchOptions = {
  /** Writes events. */
  readonly write: (events: readonly agentpb.WatchEventsResponse[]) => void;
  /** A batch is written when no further event arrives for this long, */
  readonly gatherMs?: number;
  /** or this long after the first. */
  readonly mostGatherMs?: number;
  readonly maxEvents?: number;
  /** How long a guest that filled a batch waits. */
  readonly floodPauseMs?: number;
};

export class GuestBatch implements Disposable {
  readonly #options: Required<GuestBatchOptions>;
  #events: agentpb.WatchEventsResponse[] = [];
  #timer: NodeJS.Timeout | undefined;
  #firstAt = 0;

  constructor(options: GuestBatchOptions) {
    this.#options = { gatherMs: 100, mostGatherMs: 1000, maxEvents: 64, floodPauseMs: 250, ...options };
  }

  /** Adds an event. Returns how long to wait before the next one, in milliseconds. */
  add(event: agentpb.WatchEventsResponse): number {
    this.#events.push(event);
    const isFull = this.#events.length >= this.#options.maxEvents;
    if (isFull || !isEndOfExec(event)) this.flush();
    else this.#gather();
    return isFull ? this.#options.floodPauseMs : 0;
  }

  #gather(): void {
    const { gatherMs, mostGatherMs } = this.#options;
    const now = performance.now();
    if (this.#timer === undefined) this.#firstAt = now;
    clearTimeout(this.#timer);
    const leftMs = Math.max(0, this.#firstAt + mostGatherMs - now);
    this.#timer = setTimeout(() => this.flush(), Math.min(gatherMs, leftMs));
  }

  /** Writes the gathered events. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const events = this.#events;
    this.#events = [];
    if (events.length > 0) this.#options.write(events);
  }

  /** Drops the unwritten events. */
  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#events = [];
  }
}

const isEndOfExec = ({ event }: agentpb.WatchEventsResponse): boolean =>
  event.case === "processExited" && event.value.execId !== event.value.containerId;
