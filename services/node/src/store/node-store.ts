/**
 * The node's state: one SQLite file. Each method writes everything or nothing. A write that fails throws NO_DISK_SPACE or
 * STATE_UNWRITABLE.
 *
 * When a method returns, its writes survive the daemon, because the kernel has them. Waiting for the disk (fsync) is most of
 * the time of a write, and only needed for data that must survive a crash of the host. The write-ahead log is synced from its
 * start, so a transaction that did not wait is on disk with the next one that does, and none survives a crash without all
 * earlier ones. These do not wait:
 *
 * - The start of a request. It protects the request's changes, and the first transaction that must last syncs it, too.
 * - A change within the state `creating`. After a crash such a sandbox is deleted, regardless of the rest of its record.
 * - The outcome of a request whose success a record proves: it names the requests that created a sandbox and its containers.
 * - The removal of published events. Before the publisher publishes events of an earlier daemon, it asks which are stored.
 *
 * Tables: `sandbox` and `volume` (one row each), `ledger` (requests and their outcomes), `outbox` (events to publish, in order).
 */
import { chmodSync } from "node:fs";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { PaddockError } from "@paddock/domain";
import type { LedgerEntry, LedgerStore } from "@paddock/lifecycle";
import type { SandboxRecord } from "../record/sandbox-record.ts";
import type { VolumeRecord } from "../record/volume-record.ts";
import { parseVmId, type VmId } from "../vm/vm-paths.ts";
import { keepReserve } from "./disk-reserve.ts";
import { decodeRecord, encodeRecord, formerVmId } from "./record-codec.ts";
import type { RequestOutcome } from "./request-outcome.ts";
import { storeError } from "./store-error.ts";
import { encodeVolume } from "./volume-codec.ts";

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS sandbox (
    id TEXT PRIMARY KEY, version INTEGER NOT NULL, record TEXT NOT NULL, vm TEXT NOT NULL DEFAULT '') STRICT;
  CREATE TABLE IF NOT EXISTS ledger (
    request TEXT PRIMARY KEY, digest TEXT NOT NULL, outcome BLOB, seen_ms INTEGER NOT NULL) STRICT;
  CREATE INDEX IF NOT EXISTS ledger_by_age ON ledger (seen_ms);
  CREATE TABLE IF NOT EXISTS volume (name TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS outbox (position INTEGER PRIMARY KEY AUTOINCREMENT, event BLOB NOT NULL) STRICT;
`;

const LEDGER_KEPT_MS = 24 * 60 * 60 * 1000;
const LEDGER_MAX_ROWS = 100_000;
/** The ledger is pruned once in this many requests, because pruning reads much of it. */
const PRUNE_EVERY = 1000;
/** Larger outcomes are not kept: a repeat of the request is answered from the record. */
const MAX_OUTCOME_BYTES = 64 * 1024;
const OUTBOX_MAX_EVENTS = 100_000;
/** A full outbox drops this share of its events at a time, oldest first, so that it is rarely reported. */
const OUTBOX_DROPPED_SHARE = 0.01;

/** The content of a sandbox's row. */
export type LoadedSandbox =
  | { readonly kind: "record"; readonly record: SandboxRecord }
  /** The id of its VM is stored beside the record, so that the host resources of the VM can be released. */
  | {
      readonly kind: "corrupt";
      readonly sandboxId: string;
      readonly vmId: VmId;
      readonly error: PaddockError;
    };

export type NodeStoreOptions = {
  /** The most events that wait to be published; further ones drop the oldest. */
  readonly outboxMaxEvents?: number;
  /** Called with the number of events that were dropped unpublished; watchers see a gap in the numbers of their sandboxes. */
  readonly onEventsDropped?: (count: number) => void;
};

/** Writes of one commit. */
export type Commit = {
  readonly record: SandboxRecord;
  /** Events to publish, encoded. */
  readonly events?: readonly Uint8Array[];
  /** The success of its request. */
  readonly outcome?: RequestOutcome;
  /** Whether a crash of the host may undo it, because it is not published. */
  readonly provisional?: boolean;
};

/** Whether a transaction is on disk when it ends, or with the next one that is. */
type Sync = "synced" | "unsynced";

export class NodeStore implements LedgerStore, Disposable {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  readonly #now: () => number;
  readonly #options: Required<NodeStoreOptions>;
  #begun = 0;
  #sync: Sync = "synced";

  /** Opens the file, or creates it, readable only by its owner. Throws if it is not a database. */
  constructor(file: string, now: () => number = Date.now, options: NodeStoreOptions = {}) {
    this.#now = now;
    this.#options = { outboxMaxEvents: OUTBOX_MAX_EVENTS, onEventsDropped: () => undefined, ...options };
    this.#database = new DatabaseSync(file);
    this.#database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000");
    this.#database.exec(SCHEMA);
    this.#upgrade();
    keepReserve(this.#database);
    chmodSync(file, 0o600);
  }

  /** The former version had no column for the VM, and noted operations in a table of their own. */
  #upgrade(): void {
    const columns = this.#all("SELECT name FROM pragma_table_info('sandbox')").map(({ name }) => name);
    if (!columns.includes("vm"))
      this.#database.exec("ALTER TABLE sandbox ADD COLUMN vm TEXT NOT NULL DEFAULT ''");
    this.#database.exec("DROP TABLE IF EXISTS journal; DROP TABLE IF EXISTS meta");
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }

  /** All sandboxes, including those that cannot be read. */
  loadSandboxes(): LoadedSandbox[] {
    return this.#all("SELECT id, vm, record FROM sandbox ORDER BY id").map((row): LoadedSandbox => {
      const sandboxId = String(row.id);
      try {
        return { kind: "record", record: decodeRecord(sandboxId, String(row.record)) };
      } catch (error) {
        if (!(error instanceof PaddockError)) throw error;
        return {
          kind: "corrupt",
          sandboxId,
          vmId: parseVmId(String(row.vm)) ?? formerVmId(sandboxId),
          error,
        };
      }
    });
  }

  /** Writes a record, the events of its change and the outcome of the request. */
  commit({ record, events = [], outcome, provisional = false }: Commit): void {
    let dropped = 0;
    this.#transaction(provisional ? "unsynced" : "synced", () => {
      this.#run(
        `INSERT INTO sandbox (id, version, record, vm) VALUES (?, ?, ?, ?) ON CONFLICT (id)
          DO UPDATE SET version = excluded.version, record = excluded.record, vm = excluded.vm`,
        record.sandboxId,
        record.version,
        encodeRecord(record),
        record.vm.id,
      );
      dropped = this.#post(events);
      if (outcome !== undefined) this.#finish(outcome);
    });
    if (dropped > 0) this.#options.onEventsDropped(dropped);
  }

  /** Adds events to the outbox, within a transaction. Returns how many of the oldest it dropped. */
  #post(events: readonly Uint8Array[]): number {
    if (events.length === 0) return 0;
    for (const event of events) this.#run("INSERT INTO outbox (event) VALUES (?)", event);
    const [row] = this.#all("SELECT min(position) AS first, max(position) AS last FROM outbox");
    const { outboxMaxEvents } = this.#options;
    const last = Number(row?.last);
    if (last - Number(row?.first) < outboxMaxEvents) return 0;
    const kept = Math.ceil(outboxMaxEvents * (1 - OUTBOX_DROPPED_SHARE));
    return Number(this.#run("DELETE FROM outbox WHERE position <= ?", last - kept).changes);
  }

  /** Removes a sandbox, and records events and the success of a request in the same transaction. */
  removeSandbox(sandboxId: string, outcome?: RequestOutcome, events: readonly Uint8Array[] = []): void {
    this.#transaction("synced", () => {
      this.#post(events);
      this.#run("DELETE FROM sandbox WHERE id = ?", sandboxId);
      if (outcome !== undefined) this.#finish(outcome);
    });
  }

  /** The texts of all volumes' records, by name. */
  loadVolumes(): { readonly name: string; readonly text: string }[] {
    const rows = this.#all("SELECT name, record FROM volume ORDER BY name");
    return rows.map(({ name, record }) => ({ name: String(name), text: String(record) }));
  }

  /** Writes the record of a volume. */
  putVolume(volume: VolumeRecord): void {
    this.#transaction("synced", () =>
      this.#run(
        "INSERT INTO volume (name, record) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET record = excluded.record",
        volume.name,
        encodeVolume(volume),
      ),
    );
  }

  /** Removes a volume, and records the success of the request in the same transaction. */
  removeVolume(name: string, outcome: RequestOutcome): void {
    this.#transaction("synced", () => {
      this.#run("DELETE FROM volume WHERE name = ?", name);
      this.#finish(outcome);
    });
  }

  find(requestId: string): LedgerEntry | undefined {
    const [row] = this.#all("SELECT digest, outcome FROM ledger WHERE request = ?", requestId);
    if (row === undefined) return undefined;
    return {
      digest: String(row.digest),
      outcome: row.outcome instanceof Uint8Array ? row.outcome : undefined,
    };
  }

  begin(requestId: string, digest: string): void {
    const now = this.#now();
    this.#transaction("unsynced", () => {
      if (this.#begun++ % PRUNE_EVERY === 0) this.#pruneLedger(now);
      this.#run(
        "INSERT INTO ledger (request, digest, seen_ms) VALUES (?, ?, ?) ON CONFLICT (request) DO UPDATE SET seen_ms = excluded.seen_ms",
        requestId,
        digest,
        now,
      );
    });
  }

  #pruneLedger(now: number): void {
    this.#run("DELETE FROM ledger WHERE seen_ms < ?", now - LEDGER_KEPT_MS);
    this.#run(
      "DELETE FROM ledger WHERE request IN (SELECT request FROM ledger ORDER BY seen_ms DESC LIMIT -1 OFFSET ?)",
      LEDGER_MAX_ROWS,
    );
  }

  finish(requestId: string, bytes: Uint8Array, isProven = false): void {
    if (bytes.length > MAX_OUTCOME_BYTES) return;
    this.#transaction(isProven ? "unsynced" : "synced", () => this.#finish({ requestId, bytes }));
  }

  /** An outcome that the commit of its request has already recorded is not written again and costs no sync. */
  #finish({ requestId, bytes }: RequestOutcome): void {
    const sql = "UPDATE ledger SET outcome = ? WHERE request = ? AND outcome IS NOT ?";
    this.#run(sql, bytes, requestId, bytes);
  }

  /** The oldest events after a position that are to be published. */
  outbox(limit: number, after = 0): { readonly position: number; readonly event: Uint8Array }[] {
    const sql = "SELECT position, event FROM outbox WHERE position > ? ORDER BY position LIMIT ?";
    return this.#all(sql, after, limit).map((row) => ({
      position: Number(row.position),
      event: row.event instanceof Uint8Array ? row.event : new Uint8Array(),
    }));
  }

  /** Removes events up to a position. */
  published(position: number): void {
    this.#transaction("unsynced", () => this.#run("DELETE FROM outbox WHERE position <= ?", position));
  }

  #transaction(sync: Sync, work: () => void): void {
    try {
      // With NORMAL the log is synced before a checkpoint only; it can be set between transactions.
      if (sync !== this.#sync)
        this.#database.exec(`PRAGMA synchronous = ${sync === "synced" ? "FULL" : "NORMAL"}`);
      this.#sync = sync;
      this.#database.exec("BEGIN IMMEDIATE");
      work();
      this.#database.exec("COMMIT");
    } catch (error) {
      // SQLite itself rolls back when the disk is full or fails.
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw storeError(error);
    }
  }

  /** Within a transaction, which maps the errors. */
  #run(sql: string, ...parameters: (string | number | Uint8Array)[]) {
    return this.#statement(sql).run(...parameters);
  }

  #all(sql: string, ...parameters: (string | number)[]) {
    try {
      return this.#statement(sql).all(...parameters);
    } catch (error) {
      throw storeError(error);
    }
  }

  #statement(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const statement = this.#database.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }
}
