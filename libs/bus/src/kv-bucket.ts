/**
 * A JetStream KV bucket with typed errors, and a watch that survives losses of the connection and the server.
 *
 * nats-server 2.9 ignores the time to live of a single key, and sends no event when the time to live of a bucket expires a value,
 * so nothing here expires. Reads go to the leader of the stream, not to a replica (`allow_direct: false`), so that they see all
 * writes. With the header "Nats-Rollup: all" a writer with permission for one key could empty the bucket, so it is off
 * (`allow_rollup_hdrs: false`).
 */
import {
  DiscardPolicy,
  JetStreamApiError,
  jetstream,
  RetentionPolicy,
  StorageType,
} from "@nats-io/jetstream";
import { type KV, type KvEntry, Kvm } from "@nats-io/kv";
import type { Bus } from "./bus.ts";
import { type KvWatcher, watchBucket } from "./kv-watch.ts";
import { StoreStream, TIMEOUT_MS } from "./store-stream.ts";
import { keyOfId } from "./subjects.ts";

/** A value with the revision of its last change. Revisions rise with every change of the bucket. */
export type Versioned = { readonly value: Uint8Array; readonly revision: number };

/** A bucket by name. An operation that finds it missing creates it. */
export class KvBucket {
  readonly #bus: Bus;
  readonly #name: string;
  readonly #stream: StoreStream;

  constructor(bus: Bus, name: string) {
    this.#bus = bus;
    this.#name = name;
    this.#stream = new StoreStream(bus, {
      title: `the registry ${name}`,
      config: {
        name: `KV_${name}`,
        subjects: [`$KV.${name}.>`],
        storage: StorageType.File,
        retention: RetentionPolicy.Limits,
        discard: DiscardPolicy.New,
        max_msgs_per_subject: 1,
        num_replicas: 1,
        allow_direct: false,
        allow_rollup_hdrs: false,
      },
    });
  }

  /** The value of an id, or undefined. */
  async get(id: string): Promise<Versioned | undefined> {
    const entry = await this.#do((kv) => kv.get(keyOfId(id)));
    return entry === null ? undefined : versioned(entry);
  }

  /** Stores a value if the id has none. Returns the new revision, or undefined if the id has one. */
  create(id: string, value: Uint8Array): Promise<number | undefined> {
    return this.#do((kv) => unlessWrongRevision(kv.create(keyOfId(id), value)));
  }

  /** Stores a value if the revision is still `revision`. Returns the new revision, or undefined. */
  update(id: string, value: Uint8Array, revision: number): Promise<number | undefined> {
    return this.#do((kv) => unlessWrongRevision(kv.update(keyOfId(id), value, revision, TIMEOUT_MS)));
  }

  /** Stores a value. Returns the new revision. */
  put(id: string, value: Uint8Array): Promise<number> {
    return this.#do((kv) => kv.put(keyOfId(id), value));
  }

  /** Deletes the value if the revision is still `revision`. Returns whether it was deleted. */
  async delete(id: string, revision: number): Promise<boolean> {
    const done = this.#do((kv) =>
      unlessWrongRevision(kv.delete(keyOfId(id), { previousSeq: revision }).then(() => 1)),
    );
    return (await done) !== undefined;
  }

  /** Passes every value and then every change to `watcher`, until `signal` aborts, across losses. */
  watch(watcher: KvWatcher, signal: AbortSignal): Promise<void> {
    return watchBucket({ bus: this.#bus, bucket: this.#name, stream: this.#stream }, watcher, signal);
  }

  #do<T>(operation: (kv: KV) => Promise<T>): Promise<T> {
    return this.#stream.do(async () => {
      const manager = new Kvm(jetstream(this.#bus.connection(), { timeout: TIMEOUT_MS }));
      return await operation(await manager.open(this.#name, { allow_direct: false }));
    });
  }
}

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
