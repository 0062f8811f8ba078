/**
 * Publishes the events of the outbox, in order, each at least once and in practice once.
 *
 * The transaction of a change adds its event to the outbox, and the event is removed after the server has stored it. In between
 * the daemon may die, or the answer may be lost: then the daemon does not know whether the event is stored. Before the
 * publisher continues, it asks for the last stored event of each sandbox with events to publish, and skips the events that this
 * proves stored. The server's own window of two minutes is not enough: an outage may last longer.
 *
 * One event is in flight at a time: with several, a failed event would be stored after its successors.
 */
import { setTimeout as pause } from "node:timers/promises";
import { fromBinary } from "@bufbuild/protobuf";
import type { EventStream, OutgoingEvent } from "@paddock/bus";
import { EventSchema } from "@paddock/protocol";
import type { NodeLog } from "../node-log.ts";
import type { NodeStore } from "../store/node-store.ts";

export type PublisherOptions = {
  readonly store: Pick<NodeStore, "outbox" | "published">;
  readonly stream: Pick<EventStream, "publish" | "lastIdOf">;
  readonly log: Pick<NodeLog, "warn" | "info">;
  /** Pause after a failure, in milliseconds. */
  readonly retryMs?: number;
};

type Outgoing = OutgoingEvent & { readonly position: number };

/** At least the number of events that can be stored and not yet removed, so that after a crash the proof covers all of them. */
const BATCH = 256;
/** Stored events may stay in the outbox for a while, because each removal is a write. */
const FORGET_AFTER_EVENTS = 64;
const FORGET_AFTER_MS = 250;
const RETRY_MS = 500;

export class EventPublisher implements AsyncDisposable {
  readonly #options: PublisherOptions;
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;
  #woken = Promise.withResolvers<void>();
  /** Whether the next events may be stored already. */
  #inDoubt = true;
  #failing = false;
  /** Position of the last event that is known to be stored. */
  #stored = 0;
  #unforgotten = 0;
  #forgetting: NodeJS.Timeout | undefined;

  /** Starts with the events that an earlier daemon left. */
  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  /** Called when the outbox may have events. Never throws, never waits. */
  wake(): void {
    this.#woken.resolve();
  }

  /** Stops after the event in flight. The next daemon publishes the rest. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    this.wake();
    await this.#running;
    this.#forget();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      this.#woken = Promise.withResolvers();
      try {
        if (await this.#publishBatch()) continue;
        await this.#woken.promise;
      } catch (error) {
        this.#failed(error);
        await pause(this.#options.retryMs ?? RETRY_MS, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  /** Returns whether there was anything to publish. */
  async #publishBatch(): Promise<boolean> {
    const { store, stream } = this.#options;
    const events = store.outbox(BATCH, this.#stored).map(outgoing);
    if (events.length === 0) return false;
    const known = this.#inDoubt ? await this.#storedAlready(events) : new Set<number>();
    this.#inDoubt = true;
    for (const event of events) {
      if (this.#stopping.signal.aborted) return true;
      if (!known.has(event.position)) await stream.publish(event);
      this.#succeeded(event.position);
    }
    this.#inDoubt = false;
    return true;
  }

  /** Positions that are certainly stored: up to each sandbox's last event in the stream. */
  async #storedAlready(events: readonly Outgoing[]): Promise<Set<number>> {
    const stored = new Set<number>();
    const ofSandboxes = Map.groupBy(events, ({ sandboxId }) => sandboxId);
    for (const [sandboxId, own] of ofSandboxes) {
      const [first] = own;
      if (first === undefined) continue;
      const lastId = await this.#options.stream.lastIdOf(first.nodeId, sandboxId);
      const last = own.findIndex(({ eventId }) => eventId === lastId);
      for (const { position } of own.slice(0, last + 1)) stored.add(position);
    }
    return stored;
  }

  #succeeded(position: number): void {
    if (this.#failing) this.#options.log.info({}, "publishing events works again");
    this.#failing = false;
    this.#stored = position;
    this.#unforgotten += 1;
    if (this.#unforgotten >= FORGET_AFTER_EVENTS) this.#forget();
    else this.#forgetting ??= setTimeout(() => this.#forget(), FORGET_AFTER_MS);
  }

  #forget(): void {
    clearTimeout(this.#forgetting);
    this.#forgetting = undefined;
    if (this.#unforgotten === 0) return;
    try {
      this.#options.store.published(this.#stored);
      this.#unforgotten = 0;
    } catch (error) {
      // They stay in the outbox. They are removed with the next events, or the next daemon finds them stored.
      this.#options.log.warn({ err: error }, "published events could not be removed from the outbox");
    }
  }

  /** Logged once for each outage. */
  #failed(error: unknown): void {
    if (!this.#failing)
      this.#options.log.warn({ err: error }, "events cannot be published and wait in the outbox");
    this.#failing = true;
  }
}

function outgoing({ position, event }: { position: number; event: Uint8Array }): Outgoing {
  const { eventId, nodeId, sandboxId } = fromBinary(EventSchema, event);
  return { position, eventId, nodeId, sandboxId, bytes: event };
}
