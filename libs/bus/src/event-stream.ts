/**
 * The stream of events: PADDOCK_EVENTS in JetStream, one subject for each sandbox, kept for a day.
 *
 * What is published is told apart by its event's id. JetStream drops what it has seen in the last two minutes; a publisher that was
 * away for longer asks for the last event of the sandbox (`lastIdOf`) before it publishes again what it is not sure of.
 *
 * A place in the stream is a sequence number together with the stream's time of birth: a stream that was made anew counts from 1
 * again, and a number of the old one would point at something else.
 */
import {
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
  type StreamInfo,
} from "@nats-io/jetstream";
import { PaddockError } from "@paddock/domain";
import type { Bus } from "./bus.ts";
import { EVENTS_STREAM, EVENTS_SUBJECTS, eventSubject } from "./subjects.ts";

export type EventStreamOptions = {
  /** How long events are kept, in milliseconds. */
  readonly maxAgeMs?: number;
  /** How many bytes of events are kept. */
  readonly maxBytes?: number;
  readonly replicas?: number;
};

/** An event as it is published. */
export type OutgoingEvent = {
  readonly eventId: string;
  readonly nodeId: string;
  readonly sandboxId: string;
  /** The encoded `paddock.v1.Event`. */
  readonly bytes: Uint8Array;
};

/** A place in the stream: behind the event of that number. */
export type EventPosition = {
  /** When the stream was made, as the server writes it. */
  readonly streamCreated: string;
  readonly sequence: number;
};

/** What of the stream is held now. */
export type EventExtent = {
  readonly streamCreated: string;
  readonly firstSequence: number;
  readonly lastSequence: number;
};

const TIMEOUT_MS = 3_000;
const DAY_MS = 24 * 60 * 60 * 1000;
const MIB = 1024 * 1024;
const NS_PER_MS = 1_000_000;
const NO_MESSAGE = 10037;
const STREAM_NOT_FOUND = 10059;
const STREAM_NAME_IN_USE = 10058;

/** The stream on one connection. It is created on first use if it is missing; one that exists is taken as it is. */
export class EventStream {
  readonly #bus: Bus;
  readonly #options: Required<EventStreamOptions>;

  constructor(bus: Bus, options: EventStreamOptions = {}) {
    this.#bus = bus;
    this.#options = { maxAgeMs: DAY_MS, maxBytes: 256 * MIB, replicas: 1, ...options };
  }

  /** The connection it is on. */
  get bus(): Bus {
    return this.#bus;
  }

  /** Settles when the server has stored the event. Throws `PaddockError` BUS_UNAVAILABLE: then it may be stored or not. */
  async publish({ eventId, nodeId, sandboxId, bytes }: OutgoingEvent): Promise<void> {
    await this.#onStream(async () => {
      const client = jetstream(this.#bus.connection(), { timeout: TIMEOUT_MS });
      await client.publish(eventSubject(sandboxId, nodeId), bytes, {
        msgID: eventId,
        timeout: TIMEOUT_MS,
        expect: { streamName: EVENTS_STREAM },
      });
    });
  }

  /** Id of the last event that is stored of a sandbox of a node; undefined when there is none. Throws BUS_UNAVAILABLE. */
  async lastIdOf(nodeId: string, sandboxId: string): Promise<string | undefined> {
    return await this.#onStream(async (manager) => {
      try {
        const query = { last_by_subj: eventSubject(sandboxId, nodeId) };
        const message = await manager.streams.getMessage(EVENTS_STREAM, query);
        return message?.header.get("Nats-Msg-Id") || undefined;
      } catch (error) {
        if (error instanceof JetStreamApiError && error.code === NO_MESSAGE) return undefined;
        throw error;
      }
    });
  }

  /** What is held now. Throws BUS_UNAVAILABLE. */
  async extent(): Promise<EventExtent> {
    return await this.#onStream(async (manager) => extentOf(await manager.streams.info(EVENTS_STREAM)));
  }

  /** Runs an operation, after creating the stream if that is what it fails of. */
  async #onStream<T>(operation: (manager: JetStreamManager) => Promise<T>): Promise<T> {
    try {
      const options = { timeout: TIMEOUT_MS, checkAPI: false };
      const manager = await jetstreamManager(this.#bus.connection(), options);
      try {
        return await operation(manager);
      } catch (error) {
        if (!(await this.#create(manager, error))) throw error;
        return await operation(manager);
      }
    } catch (error) {
      if (error instanceof PaddockError) throw error;
      throw new PaddockError("BUS_UNAVAILABLE", "the stream of events did not answer", {
        hint: "check that nats-server runs with JetStream (-js) and its store directory has room",
        retryAfterMs: 1_000,
        cause: error,
      });
    }
  }

  /** Whether the stream was missing and is there now. */
  async #create(manager: JetStreamManager, error: unknown): Promise<boolean> {
    if (!(error instanceof Error) || !(await isMissing(manager, error))) return false;
    const { maxAgeMs, maxBytes, replicas } = this.#options;
    try {
      await manager.streams.add({
        name: EVENTS_STREAM,
        subjects: [EVENTS_SUBJECTS],
        storage: StorageType.File,
        retention: RetentionPolicy.Limits,
        discard: DiscardPolicy.Old,
        max_age: maxAgeMs * NS_PER_MS,
        max_bytes: maxBytes,
        num_replicas: replicas,
      });
    } catch (refused) {
      // Another client was first, perhaps with other limits.
      if (!(refused instanceof JetStreamApiError && refused.code === STREAM_NAME_IN_USE)) throw refused;
    }
    return true;
  }
}

/** A publish to a missing stream fails for want of a responder, which a JetStream that is coming up looks like, too. */
async function isMissing(manager: JetStreamManager, error: Error): Promise<boolean> {
  if (error instanceof JetStreamApiError) return error.code === STREAM_NOT_FOUND;
  try {
    await manager.streams.info(EVENTS_STREAM);
    return false;
  } catch (cause) {
    return cause instanceof JetStreamApiError && cause.code === STREAM_NOT_FOUND;
  }
}

const extentOf = ({ created, state }: StreamInfo): EventExtent => ({
  streamCreated: String(created),
  firstSequence: state.first_seq,
  lastSequence: state.last_seq,
});
