/**
 * A JetStream stream that comes back after it was lost: with its server's disk, by a deletion, or because JetStream was off.
 *
 * Nothing is remembered of a stream from one operation to the next. An operation that fails for want of the stream makes it and is
 * tried again; one that finds no one listening is tried again for a moment, as a stream that was just made, or whose server has just
 * come back, is deaf at first. In both cases nothing was stored.
 */
import {
  JetStreamApiError,
  type JetStreamManager,
  jetstreamManager,
  type StreamConfig,
  type StreamInfo,
} from "@nats-io/jetstream";
import { PaddockError } from "@paddock/domain";
import type { Bus } from "./bus.ts";

const TIMEOUT_MS = 3_000;
const TRIES = 6;
const RETRY_MS = 200;
const STREAM_NOT_FOUND = 10059;
const STREAM_NAME_IN_USE = 10058;

export type StoreStreamOptions = {
  readonly config: Partial<StreamConfig> & { readonly name: string };
  /** What it is called in errors. */
  readonly title: string;
};

/** A stream by name, on the connection there is. */
export class StoreStream {
  readonly #bus: Bus;
  readonly #options: StoreStreamOptions;

  constructor(bus: Bus, options: StoreStreamOptions) {
    this.#bus = bus;
    this.#options = options;
  }

  /** The requests about streams. Throws BUS_UNAVAILABLE. */
  async manager(): Promise<JetStreamManager> {
    return await jetstreamManager(this.#bus.connection(), { timeout: TIMEOUT_MS, checkAPI: false });
  }

  /** Runs an operation, after making the stream if that is what it fails for. Throws `PaddockError` BUS_UNAVAILABLE. */
  async do<T>(operation: (manager: JetStreamManager) => Promise<T>): Promise<T> {
    try {
      const manager = await this.manager();
      for (let left = TRIES; ; left -= 1) {
        try {
          return await operation(manager);
        } catch (error) {
          if (!(isStreamMissing(error) || isDeaf(error)) || left <= 1) throw error;
          const wasMissing = await this.#makeMissing(manager);
          if (!wasMissing) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
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

  /** What the server says of it; it is made if it is missing, and its rules are put right. Throws BUS_UNAVAILABLE. */
  async open(): Promise<StreamInfo> {
    return await this.do(async (manager) => {
      const info = await manager.streams.info(this.#options.config.name);
      const wrong = wrongRules(this.#options.config, info.config);
      if (wrong === undefined) return info;
      return await manager.streams.update(info.config.name, { ...info.config, ...wrong });
    });
  }

  /** Whether it was missing and is there now. */
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
      // Another client was first, perhaps with other limits.
      if (!(refused instanceof JetStreamApiError && refused.code === STREAM_NAME_IN_USE)) throw refused;
    }
    return true;
  }
}

/** Whether the server says that there is no such stream. */
const isStreamMissing = (error: unknown): boolean =>
  error instanceof JetStreamApiError && error.code === STREAM_NOT_FOUND;

/** The subject has no one who answers: so says nats.js of a stream that is not there, and of a server without JetStream. */
const isDeaf = (error: unknown): boolean => error instanceof Error && error.name === "JetStreamNotEnabled";

/** Rules that an older version has left otherwise and that matter for who may do what; limits are the operator's. */
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
