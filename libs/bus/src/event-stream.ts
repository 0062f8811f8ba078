/**
 * The stream of events: PADDOCK_EVENTS in JetStream, one subject for each sandbox, kept for a day.
 *
 * What is published is told apart by its event's id. JetStream drops what it has seen in the last two minutes; a publisher that was
 * away for longer asks for the last event of the sandbox (`lastIdOf`) before it publishes again what it is not sure of.
 *
 * A place in the stream is a sequence number together with the stream's time of birth: a stream that was made again counts from 1
 * again, and a number of the old one would point at something else.
 */
import {
  AckPolicy,
  DeliverPolicy,
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamManager,
  jetstream,
  RetentionPolicy,
  StorageType,
  type StreamInfo,
} from "@nats-io/jetstream";
import type { Bus } from "./bus.ts";
import { StoreStream } from "./store-stream.ts";
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

/** The stream on one connection. It is created when an operation finds it missing; the limits of one that exists are left as they are. */
export class EventStream {
  readonly #bus: Bus;
  readonly #stream: StoreStream;

  constructor(bus: Bus, options: EventStreamOptions = {}) {
    this.#bus = bus;
    const { maxAgeMs = DAY_MS, maxBytes = 256 * MIB, replicas = 1 } = options;
    this.#stream = new StoreStream(bus, {
      title: "the stream of events",
      config: {
        name: EVENTS_STREAM,
        subjects: [EVENTS_SUBJECTS],
        storage: StorageType.File,
        retention: RetentionPolicy.Limits,
        discard: DiscardPolicy.Old,
        max_age: maxAgeMs * NS_PER_MS,
        max_bytes: maxBytes,
        num_replicas: replicas,
        // A direct read names the subject, so that a node can have permission for its own alone.
        allow_direct: true,
        allow_rollup_hdrs: false,
      },
    });
  }

  /** The connection it is on. */
  get bus(): Bus {
    return this.#bus;
  }

  /** Settles when the server has stored the event. Throws `PaddockError` BUS_UNAVAILABLE: then it may be stored or not. */
  async publish({ eventId, nodeId, sandboxId, bytes }: OutgoingEvent): Promise<void> {
    await this.#stream.do(async () => {
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
    return await this.#stream.do(async (manager) => {
      const query = { last_by_subj: eventSubject(sandboxId, nodeId) };
      const message = await manager.direct.getMessage(EVENTS_STREAM, query).catch((error: unknown) => {
        // A stream of an older version answers no direct reads.
        if (error instanceof Error && error.name === "JetStreamNotEnabled") return byLeader(manager, query);
        throw error;
      });
      return message?.header.get("Nats-Msg-Id") || undefined;
    });
  }

  /** What is held now. Throws BUS_UNAVAILABLE. */
  async extent(): Promise<EventExtent> {
    return await this.#stream.do(async (manager) => extentOf(await manager.streams.info(EVENTS_STREAM)));
  }

  /** Makes the stream if it is missing, for publishers that may not. Throws BUS_UNAVAILABLE. */
  async open(): Promise<void> {
    await this.#stream.open();
  }

  /**
   * The place behind which lie the events that were stored at `timeMs` (by the server's clock) or later; of those that are not kept any
   * more it says nothing. Throws BUS_UNAVAILABLE.
   */
  async placeAt(timeMs: number): Promise<EventPosition> {
    return await this.#stream.do(async (manager) => {
      const { streamCreated, firstSequence, lastSequence } = extentOf(
        await manager.streams.info(EVENTS_STREAM),
      );
      // The server finds the place for a consumer, which is of no other use.
      const { name, delivered } = await manager.consumers.add(EVENTS_STREAM, {
        ack_policy: AckPolicy.None,
        deliver_policy: DeliverPolicy.StartTime,
        opt_start_time: new Date(timeMs).toISOString(),
        inactive_threshold: TIMEOUT_MS * NS_PER_MS,
        mem_storage: true,
        num_replicas: 1,
      });
      await manager.consumers.delete(EVENTS_STREAM, name).catch(() => false);
      const sequence = Math.min(Math.max(delivered.stream_seq, firstSequence - 1, 0), lastSequence);
      return { streamCreated, sequence };
    });
  }
}

async function byLeader(manager: JetStreamManager, query: { readonly last_by_subj: string }) {
  try {
    return await manager.streams.getMessage(EVENTS_STREAM, query);
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === NO_MESSAGE) return null;
    throw error;
  }
}

const extentOf = ({ created, state }: StreamInfo): EventExtent => ({
  streamCreated: String(created),
  firstSequence: state.first_seq,
  lastSequence: state.last_seq,
});
