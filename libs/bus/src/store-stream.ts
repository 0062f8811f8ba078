/**
 * A JetStream stream that is recreated after a loss: with its server's disk, by a deletion, or because JetStream was off.
 *
 * Nothing about a stream is kept from one operation to the next. An operation that fails because the stream is missing creates it
 * and is repeated. An operation that gets no response is repeated for a short time, because a new stream, or one whose server has
 * just started, does not respond at first. In both cases nothing was stored.
 */
import { setTimeout as pause } from "node:timers/promises";
import {
  AckPolicy,
  type Consumer,
  type ConsumerConfig,
  type ConsumerInfo,
  JetStreamApiError,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
  type StreamConfig,
  type StreamInfo,
} from "@nats-io/jetstream";
import { PaddockError } from "@paddock/domain";
import type { Bus } from "./bus.ts";

/** How long an operation waits for the server, in milliseconds. */
export const TIMEOUT_MS = 3_000;
export const NS_PER_MS = 1_000_000;
const TRIES = 6;
const RETRY_MS = 200;
const STREAM_NOT_FOUND = 10059;
const STREAM_NAME_IN_USE = 10058;

export type StoreStreamOptions = {
  readonly config: Partial<StreamConfig> & { readonly name: string };
  /** Name in errors. */
  readonly title: string;
};

/** A stream by name, on the current connection. */
export class StoreStream {
  readonly #bus: Bus;
  readonly #options: StoreStreamOptions;

  constructor(bus: Bus, options: StoreStreamOptions) {
    this.#bus = bus;
    this.#options = options;
  }

  /** The JetStream manager. Throws BUS_UNAVAILABLE. */
  async manager(): Promise<JetStreamManager> {
    return await jetstreamManager(this.#bus.connection(), { timeout: TIMEOUT_MS, checkAPI: false });
  }

  /**
   * Runs an operation. If the stream is missing, creates it and runs the operation again. Throws `PaddockError` BUS_UNAVAILABLE.
   */
  async do<T>(operation: (manager: JetStreamManager) => Promise<T>): Promise<T> {
    try {
      const manager = await this.manager();
      for (let left = TRIES; ; left -= 1) {
        try {
          return await operation(manager);
        } catch (error) {
          if (!(isStreamMissing(error) || isDeaf(error)) || left <= 1) throw error;
          const wasMissing = await this.#makeMissing(manager);
          if (!wasMissing) await pause(RETRY_MS);
        }
      }
    } catch (error) {
      if (error instanceof PaddockError) throw error;
      throw new PaddockError("BUS_UNAVAILABLE", `${this.#options.title} did not answer`, {
        hint: "check that nats-server runs with JetStream (-js) and its store directory has room",
        retryAfterMs: 1_000,
        cause: error,
      });
    }
  }

  /** Information about the stream, which is created if missing and whose rules are corrected. Throws BUS_UNAVAILABLE. */
  async open(): Promise<StreamInfo> {
    return await this.do(async (manager) => {
      const info = await manager.streams.info(this.#options.config.name);
      const wrong = wrongRules(this.#options.config, info.config);
      if (wrong === undefined) return info;
      return await manager.streams.update(info.config.name, { ...info.config, ...wrong });
    });
  }

  /** A consumer without acknowledgements, which the server drops when it is idle for `idleMs`. */
  async consumer(
    config: Partial<ConsumerConfig>,
    idleMs: number,
  ): Promise<{ readonly consumer: Consumer; readonly info: ConsumerInfo }> {
    const { name } = this.#options.config;
    const info = await (await this.manager()).consumers.add(name, {
      ...config,
      ack_policy: AckPolicy.None,
      inactive_threshold: idleMs * NS_PER_MS,
      mem_storage: true,
      num_replicas: 1,
    });
    const client = jetstream(this.#bus.connection(), { timeout: TIMEOUT_MS });
    return { consumer: await client.consumers.get(name, info.name), info };
  }

  /** Creates the stream if it is missing. Returns whether it did. */
  async #makeMissing(manager: JetStreamManager): Promise<boolean> {
    const { config } = this.#options;
    try {
      await manager.streams.info(config.name);
      return false;
    } catch (error) {
      if (isDeaf(error)) return false;
      if (!isStreamMissing(error)) throw error;
    }
    try {
      await manager.streams.add(config);
    } catch (refused) {
      // Another client created it first, perhaps with other limits.
      if (!(refused instanceof JetStreamApiError && refused.code === STREAM_NAME_IN_USE)) throw refused;
    }
    return true;
  }
}

/** Whether the server reports that the stream does not exist. */
const isStreamMissing = (error: unknown): boolean =>
  error instanceof JetStreamApiError && error.code === STREAM_NOT_FOUND;

/** No subscriber on the subject: nats.js reports this for a missing stream and for a server without JetStream. */
const isDeaf = (error: unknown): boolean => error instanceof Error && error.name === "JetStreamNotEnabled";

/** The rules that matter for permissions and that an older version may have set otherwise. The operator sets the limits. */
function wrongRules(
  wanted: Partial<StreamConfig>,
  { allow_rollup_hdrs = false, allow_direct = false }: StreamConfig,
): Partial<StreamConfig> | undefined {
  const isWrong =
    (wanted.allow_rollup_hdrs === false && allow_rollup_hdrs) ||
    (wanted.allow_direct === true && !allow_direct);
  if (!isWrong) return undefined;
  return { allow_rollup_hdrs: wanted.allow_rollup_hdrs ?? false, allow_direct: wanted.allow_direct ?? false };
}
