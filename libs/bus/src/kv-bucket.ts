/**
 * A JetStream KV bucket with typed errors, and a watch that survives what may happen to the server.
 *
 * Facts of nats-server 2.9 that shape this: a time to live for one key is ignored, and the expiry of a bucket's makes no
 * event; so nothing here expires. Reads go to the stream's leader, not to a replica (`allow_direct: false`), so that they see what was written.
 */
import { JetStreamApiError, jetstream } from "@nats-io/jetstream";
import { type KV, type KvEntry, Kvm } from "@nats-io/kv";
import { PaddockError } from "@paddock/domain";
import type { Bus } from "./bus.ts";
import { idOfKey, keyOfId } from "./subjects.ts";

/** A value with the number of its last change, which rises with every change of the bucket. */
export type Versioned = { readonly value: Uint8Array; readonly revision: number };

export type WatchEvent = {
  readonly id: string;
  /** Undefined when it was deleted. */
  readonly value: Uint8Array | undefined;
  readonly revision: number;
  /** When the server stored it, by the server's clock. */
  readonly storedAt: Date;
  /** Whether it surely changed just now; false for what was there when the watch began. */
  readonly isChange: boolean;
  /** Whether everything that was there when the watch began has been told. */
  readonly isComplete: boolean;
  /** Which beginning of the watch this belongs to; rises when the watch has to begin anew. */
  readonly epoch: number;
};

const OPERATION_TIMEOUT_MS = 3_000;
const REOPEN_WAIT_MS = 300;
const LISTEN_TRIES = 6;
const LISTEN_WAIT_MS = 200;

/** A bucket by name. It is opened, and created if missing, on first use. */
export class KvBucket {
  readonly #bus: Bus;
  readonly #name: string;
  readonly #replicas: number;
  #opening: Promise<KV> | undefined;

  constructor(bus: Bus, name: string, options: { readonly replicas?: number } = {}) {
    this.#bus = bus;
    this.#name = name;
    this.#replicas = options.replicas ?? 1;
  }

  /** The value of an id, or undefined. */
  async get(id: string): Promise<Versioned | undefined> {
    const entry = await this.#do((kv) => kv.get(keyOfId(id)));
    return entry === null ? undefined : versioned(entry);
  }

  /** Stores a value if the id has none; the new revision, or undefined when it has one. */
  create(id: string, value: Uint8Array): Promise<number | undefined> {
    return this.#do((kv) => unlessWrongRevision(kv.create(keyOfId(id), value)));
  }

  /** Stores a value if the revision is still `revision`; the new revision, or undefined when it is not. */
  update(id: string, value: Uint8Array, revision: number): Promise<number | undefined> {
    return this.#do((kv) =>
      unlessWrongRevision(kv.update(keyOfId(id), value, revision, OPERATION_TIMEOUT_MS)),
    );
  }

  /** Stores a value; the new revision. */
  put(id: string, value: Uint8Array): Promise<number> {
    return this.#do((kv) => kv.put(keyOfId(id), value));
  }

  /** Deletes the value if the revision is still `revision`; whether it did. */
  async delete(id: string, revision: number): Promise<boolean> {
    const done = this.#do((kv) =>
      unlessWrongRevision(kv.delete(keyOfId(id), { previousSeq: revision }).then(() => 1)),
    );
    return (await done) !== undefined;
  }

  /** All ids that have a value, in no order. */
  async ids(): Promise<string[]> {
    return this.#do(async (kv) => {
      const ids: string[] = [];
      for await (const key of await kv.keys()) ids.push(idOfKey(key));
      return ids;
    });
  }

  /**
   * Calls `onEvent` with every value there is and then with every change, until `signal` aborts. After a loss of the
   * connection it begins anew with all values.
   */
  async watch(onEvent: (event: WatchEvent) => void, signal: AbortSignal): Promise<void> {
    for (let epoch = 1; !signal.aborted; epoch++) {
      try {
        await this.#bus.ready;
        await this.#watchOnce(onEvent, signal, epoch);
      } catch {
        // The connection is away or the stream has no leader yet; both pass.
      }
      if (!signal.aborted) await pause(REOPEN_WAIT_MS, signal);
    }
  }

  async #watchOnce(onEvent: (event: WatchEvent) => void, signal: AbortSignal, epoch: number): Promise<void> {
    const kv = await this.#open();
    const entries = await kv.watch();
    const stop = () => entries.stop();
    // A consumer of a server that was away may be gone; a new one is cheap and sure.
    const forget = this.#bus.onChange(stop);
    signal.addEventListener("abort", stop, { once: true });
    try {
      if (signal.aborted) return;
      let isComplete = false;
      for await (const entry of entries) {
        // nats.js calls the last of what was there an update already.
        const isChange = isComplete;
        isComplete = entry.isUpdate;
        onEvent({
          id: idOfKey(entry.key),
          value: entry.operation === "PUT" ? entry.value : undefined,
          revision: entry.revision,
          storedAt: entry.created,
          isChange,
          isComplete,
          epoch,
        });
      }
    } finally {
      forget();
      signal.removeEventListener("abort", stop);
    }
  }

  async #do<T>(operation: (kv: KV) => Promise<T>): Promise<T> {
    this.#bus.connection();
    try {
      return await this.#whenListening(operation);
    } catch (error) {
      if (error instanceof PaddockError) throw error;
      throw new PaddockError("BUS_UNAVAILABLE", `the registry ${this.#name} did not answer`, {
        hint: "check that nats-server runs with JetStream (-js) and its store directory has room",
        retryAfterMs: 1_000,
        cause: error,
      });
    }
  }

  /**
   * A stream that was just made, or whose server has just come back, may not listen yet. Then nothing was stored, so the same
   * operation is tried again for a moment.
   */
  async #whenListening<T>(operation: (kv: KV) => Promise<T>): Promise<T> {
    for (let left = LISTEN_TRIES; ; left -= 1) {
      try {
        return await operation(await this.#open());
      } catch (error) {
        if (!isNotListening(error) || left <= 1) throw error;
        await new Promise((resolve) => setTimeout(resolve, LISTEN_WAIT_MS));
      }
    }
  }

  #open(): Promise<KV> {
    this.#opening ??= this.#create().catch((error: unknown) => {
      this.#opening = undefined;
      throw error;
    });
    return this.#opening;
  }

  #create(): Promise<KV> {
    const manager = new Kvm(jetstream(this.#bus.connection(), { timeout: OPERATION_TIMEOUT_MS }));
    return manager.create(this.#name, { history: 1, replicas: this.#replicas, allow_direct: false });
  }
}

/** The subject has no one who answers: so says nats.js of a stream that is not there. */
const isNotListening = (error: unknown): boolean =>
  error instanceof Error && error.name === "JetStreamNotEnabled";

const versioned = (entry: KvEntry): Versioned | undefined =>
  entry.operation === "PUT" ? { value: entry.value, revision: entry.revision } : undefined;

/** API error 10071 (10164 on newer servers): another writer was first. */
async function unlessWrongRevision(write: Promise<number>): Promise<number | undefined> {
  try {
    return await write;
  } catch (error) {
    if (error instanceof JetStreamApiError && (error.code === 10071 || error.code === 10164))
      return undefined;
    throw error;
  }
}

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
  });
