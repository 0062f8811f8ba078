/**
 * The stream of events: PADDOCK_EVENTS in JetStream, one subject per sandbox, kept for a day.
 *
 * Every event has a unique id. JetStream drops an id that it has seen in the last two minutes. A publisher that was disconnected
 * for longer asks for the last event of the sandbox (`lastIdOf`) before it repeats events that may be stored already.
 *
 * A position in the stream is a sequence number together with the creation time of the stream: a recreated stream counts from 1,
 * and a number of the old one would mean another event.
 */
import {
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
import { NS_PER_MS, StoreStream, TIMEOUT_MS } from "./store-stream.ts";
import { EVENTS_STREAM, EVENTS_SUBJECTS, eventSubject } from "./subjects.ts";

/** An event to publish. */
export type OutgoingEvent = {
  readonly eventId: string;
  readonly nodeId: string;
  readonly sandboxId: string;
  /** The encoded `paddock.v1.Event`. */
  readonly bytes: Uint8Array;
};

/** A position in the stream: after the event with that number. */
export type EventPosition = {
  /** Creation time of the stream, in the form of the server. */
  readonly streamCreated: string;
  readonly sequence: number;
};

/** The events that the stream keeps now. */
export type EventExtent = {
  readonly streamCreated: string;
  readonly firstSequence: number;
  readonly lastSequence: number;
};

const DAY_MS = 24 * 60 * 60 * 1000;
const MIB = 1024 * 1024;
const NO_MESSAGE = 10037;

/**
 * The stream on one connection. An operation that finds it missing creates it. The limits of an existing stream do not change.
 */
export class EventStream {
  readonly #bus: Bus;
  readonly #stream: StoreStream;

  constructor(bus: Bus) {
    this.#bus = bus;
    this.#stream = new StoreStream(bus, {
      title: "the stream of events",
      config: {
        name: EVENTS_STREAM,
        subjects: [EVENTS_SUBJECTS],
        storage: StorageType.File,
        retention: RetentionPolicy.Limits,
        discard: DiscardPolicy.Old,
        max_age: DAY_MS * NS_PER_MS,
        max_bytes: 256 * MIB,
        num_replicas: 1,
        // A direct read names the subject, so a node can have permission for only its own subjects.
        allow_direct: true,
        allow_rollup_hdrs: false,
      },
    });
  }

  /** The connection in use. */
  get bus(): Bus {
    return this.#bus;
  }

  /**
   * Resolves when the server has stored the event. Throws `PaddockError` BUS_UNAVAILABLE if it is unknown whether it was stored.
   */
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

  /** Id of the last stored event of a sandbox on a node; undefined if there is none. Throws BUS_UNAVAILABLE. */
  async lastIdOf(nodeId: string, sandboxId: string): Promise<string | undefined> {
    return await this.#stream.do(async (manager) => {
      const query = { last_by_subj: eventSubject(sandboxId, nodeId) };
      const message = await manager.direct.getMessage(EVENTS_STREAM, query).catch((error: unknown) => {
        // A stream of an older version does not answer direct reads.
        if (error instanceof Error && error.name === "JetStreamNotEnabled") return byLeader(manager, query);
        throw error;
      });
      return message?.header.get("Nats-Msg-Id") || undefined;
    });
  }

  /** The events that are kept now. Throws BUS_UNAVAILABLE. */
  async extent(): Promise<EventExtent> {
    return await this.#stream.do(async (manager) => extentOf(await manager.streams.info(EVENTS_STREAM)));
  }

  /** A consumer of the events after a position, of one sandbox or of all, which the server drops when it is idle for `idleMs`. */
  consumerAfter({ sequence }: EventPosition, sandboxId: string | undefined, idleMs: number) {
    const config = {
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: sequence + 1,
      filter_subject: sandboxId === undefined ? EVENTS_SUBJECTS : eventSubject(sandboxId),
    };
    return this.#stream.consumer(config, idleMs);
  }

  /** Creates the stream if it is missing, for publishers without that permission. Throws BUS_UNAVAILABLE. */
  async open(): Promise<void> {
    await this.#stream.open();
  }

  /**
   * The position before the events that were stored at `timeMs` (by the server's clock) or later, among those that are still
   * kept. Throws BUS_UNAVAILABLE.
   */
  async placeAt(timeMs: number): Promise<EventPosition> {
    return await this.#stream.do(async (manager) => {
      const { streamCreated, firstSequence, lastSequence } = extentOf(
        await manager.streams.info(EVENTS_STREAM),
      );
      // The consumer is only used to let the server find the position.
      const from = {
        deliver_policy: DeliverPolicy.StartTime,
        opt_start_time: new Date(timeMs).toISOString(),
      };
      const { consumer, info } = await this.#stream.consumer(from, TIMEOUT_MS);
      await consumer.delete().catch(() => false);
      const sequence = Math.min(Math.max(info.delivered.stream_seq, firstSequence - 1, 0), lastSequence);
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
