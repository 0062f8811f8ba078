/**
 * The output of a container's init, on the node: a bounded set of files with one writer and any number of readers.
 *
 * ```text
 *   beginRun ──> append, append, … ──> finish        (a later start of the container begins another run)
 * ```
 *
 * The writer gathers what is appended and writes it together. `append` settles when the bytes are in the file. Only then may they
 * be acknowledged to the guest, which keeps them until then. A full disk loses nothing: the write is undone and repeated, and
 * nothing is acknowledged, so that in the end the process waits.
 *
 * Readers see what is committed (`position`), and are woken by changes; they do not poll the file.
 */
import { mkdir, open } from "node:fs/promises";
import { PaddockError } from "@paddock/domain";
import { Changes } from "@paddock/lifecycle";
import type { LogLimits } from "../record/log-limits.ts";
import { type AppendFile, appendAll } from "./append-file.ts";
import { listLogFiles, logFilePath, openLogEnd, removeLogFile } from "./log-files.ts";
import {
  encodeHeader,
  encodeRun,
  HEADER_BYTES,
  type LogStream,
  MAX_PAYLOAD_BYTES,
  NO_OFFSETS,
  type Offsets,
} from "./log-record.ts";
import { type RetryOptions, retrying } from "./retrying.ts";

export type ContainerLogOptions = {
  readonly directory: string;
  readonly limits: LogLimits;
  /** Called with the error when the disk refuses a write, and with undefined when writes succeed again. */
  readonly onProblem?: (problem: Error | undefined) => void;
  /** Pause before a refused write is repeated, in ms; doubles up to 16 times this. */
  readonly retryMs?: number;
  /** Microseconds since the epoch. */
  readonly nowUs?: () => number;
};

/** A position in a log: byte `bytes` of file `sequence`. */
export type LogPosition = { readonly sequence: number; readonly bytes: number };

type Entry = {
  readonly kind: LogStream | "run";
  readonly offset: number;
  readonly payload: Uint8Array;
  readonly timeUs: number;
  readonly runId: string;
  readonly done: (error?: unknown) => void;
};

export class ContainerLog {
  readonly directory: string;
  /** Wakes readers. */
  readonly changes = new Changes();
  readonly #options: Required<ContainerLogOptions>;
  #files: number[] = [];
  #writing: AppendFile | undefined;
  #position: LogPosition = { sequence: 0, bytes: 0 };
  #lastRecordBytes = 0;
  #lastTimeUs = 0;
  #runId = "";
  #offsets = NO_OFFSETS;
  #queue: Entry[] = [];
  #busy: Promise<void> | undefined;
  #finished = true;
  readonly #closing = new AbortController();
  readonly #retry: RetryOptions;

  /** Opens a log, and creates its directory. An incomplete record from a crash is cut off. */
  static async open(options: ContainerLogOptions): Promise<ContainerLog> {
    const log = new ContainerLog(options);
    await mkdir(log.directory, { recursive: true, mode: 0o700 });
    await log.#load();
    return log;
  }

  private constructor(options: ContainerLogOptions) {
    this.directory = options.directory;
    this.#options = {
      onProblem: () => undefined,
      retryMs: 500,
      nowUs: () => Math.round((performance.timeOrigin + performance.now()) * 1000),
      ...options,
    };
    const { retryMs: pauseMs, onProblem } = this.#options;
    this.#retry = { pauseMs, onProblem, signal: this.#closing.signal };
  }

  /** End of the committed part. */
  get position(): LogPosition {
    return this.#position;
  }
  /** Size of the last committed record, with its header; a backward reader starts there. */
  get lastRecordBytes(): number {
    return this.#lastRecordBytes;
  }
  /** Numbers of the files, ascending. */
  get files(): readonly number[] {
    return this.#files;
  }
  /** Name of the current run; empty when there was none. */
  get runId(): string {
    return this.#runId;
  }
  /** Committed bytes of the current run. */
  get offsets(): Offsets {
    return this.#offsets;
  }
  /** Whether the current run is finished. */
  get finished(): boolean {
    return this.#finished;
  }

  /** Begins a run, or continues the current run if it has this id. Returns its committed bytes. */
  async beginRun(runId: string): Promise<Offsets> {
    this.#finished = false;
    if (runId !== this.#runId || this.#files.length === 0)
      await this.#put({ kind: "run", offset: 0, payload: encodeRun({ runId, offsets: NO_OFFSETS }), runId });
    this.changes.notify();
    return this.#offsets;
  }

  /** Adds bytes of a stream, at most 64 KiB. Settles when they are in the file; rejects when the log is closed first. */
  append(stream: LogStream, offset: number, payload: Uint8Array): Promise<void> {
    if (payload.length > MAX_PAYLOAD_BYTES) throw new RangeError(`a record of ${payload.length} bytes`);
    return this.#put({ kind: stream, offset, payload, runId: "" });
  }

  /** Ends this run; following readers end. */
  finish(): void {
    this.#finished = true;
    this.changes.notify();
  }

  /** Finishes the run and closes the file. Appends that wait for a full disk fail. */
  async close(): Promise<void> {
    this.finish();
    this.#closing.abort(new PaddockError("SHUTTING_DOWN", `the log ${this.directory} was closed`));
    await this.#busy;
    await this.#writing?.file.close();
    this.#writing = undefined;
  }

  async #load(): Promise<void> {
    const files = await listLogFiles(this.directory);
    for (let last = files.at(-1); last !== undefined; last = files.at(-1)) {
      const end = await openLogEnd(logFilePath(this.directory, last));
      if (end !== undefined) {
        this.#writing = { file: end.file, sequence: last, bytes: end.bytes };
        this.#lastRecordBytes = end.lastRecordBytes;
        this.#lastTimeUs = end.lastTimeUs;
        this.#runId = end.runId;
        this.#offsets = end.offsets;
        break;
      }
      await removeLogFile(this.directory, last);
      files.pop();
    }
    this.#files = files;
    this.#commit();
    await this.#prune();
  }

  #put(entry: Pick<Entry, "kind" | "offset" | "payload" | "runId">): Promise<void> {
    if (this.#closing.signal.aborted) return Promise.reject(this.#closing.signal.reason);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const done = (error?: unknown) => (error === undefined ? resolve() : reject(error));
    // If the clock was set back, `since` must not skip later output.
    this.#lastTimeUs = Math.max(this.#lastTimeUs, this.#options.nowUs());
    this.#queue.push({ ...entry, timeUs: this.#lastTimeUs, done });
    this.#busy ??= this.#drain().finally(() => {
      this.#busy = undefined;
    });
    return promise;
  }

  async #drain(): Promise<void> {
    while (this.#queue.length > 0) {
      const entries = this.#queue;
      this.#queue = [];
      try {
        await this.#write(entries);
      } catch (error) {
        for (const { done } of [...entries, ...this.#queue.splice(0)]) done(error);
        return;
      }
      for (const { done } of entries) done();
      this.changes.notify();
    }
  }

  /** Writes entries, in as many files as they need. */
  async #write(entries: readonly Entry[]): Promise<void> {
    for (let rest = entries; rest.length > 0; ) {
      const writing = await retrying(() => this.#fileFor(rest[0]), this.#retry);
      const count = this.#fitting(writing, rest);
      const batch = rest.slice(0, count);
      const buffers = this.#encode(batch);
      const bytes = buffers.reduce((sum, { length }) => sum + length, 0);
      await retrying(() => appendAll(writing, buffers, bytes), this.#retry);
      this.#take(writing, batch, bytes);
      rest = rest.slice(count);
    }
  }

  #take(writing: AppendFile, batch: readonly Entry[], bytes: number): void {
    writing.bytes += bytes;
    for (const entry of batch) {
      this.#lastRecordBytes = HEADER_BYTES + entry.payload.length;
      if (entry.kind === "run") {
        this.#runId = entry.runId;
        this.#offsets = NO_OFFSETS;
      } else {
        this.#offsets = { ...this.#offsets, [entry.kind]: entry.offset + entry.payload.length };
      }
    }
    this.#commit();
  }

  #encode(batch: readonly Entry[]): Uint8Array[] {
    let previousBytes = this.#lastRecordBytes;
    return batch.flatMap(({ kind, payload, offset, timeUs }) => {
      const header = encodeHeader({ kind, payload, offset, timeUs, previousBytes });
      previousBytes = header.length + payload.length;
      return [header, payload];
    });
  }

  /** How many entries fit in the file; at least one. */
  #fitting(writing: AppendFile, entries: readonly Entry[]): number {
    let bytes = writing.bytes;
    const over = entries.findIndex(({ payload }) => {
      bytes += HEADER_BYTES + payload.length;
      return bytes > this.#options.limits.maxFileBytes;
    });
    return over < 0 ? entries.length : Math.max(1, over);
  }

  /** The file for the next entry: the current one, or a new one when that is full. */
  async #fileFor(next: Entry | undefined): Promise<AppendFile> {
    const needed = HEADER_BYTES + (next?.payload.length ?? 0);
    const present = this.#writing;
    if (present !== undefined && present.bytes + needed <= this.#options.limits.maxFileBytes) return present;
    const writing = await this.#newFile();
    await present?.file.close();
    this.#writing = writing;
    this.#files = [...this.#files, writing.sequence];
    await this.#prune();
    return writing;
  }

  async #newFile(): Promise<AppendFile> {
    const sequence = (this.#files.at(-1) ?? 0) + 1;
    const file = await open(logFilePath(this.directory, sequence), "w+", 0o600);
    try {
      const payload = encodeRun({ runId: this.#runId, offsets: this.#offsets });
      const run = { kind: "run", payload, offset: 0, timeUs: this.#lastTimeUs } as const;
      const header = encodeHeader({ ...run, previousBytes: this.#lastRecordBytes });
      const bytes = header.length + payload.length;
      await appendAll({ file, sequence, bytes: 0 }, [header, payload], bytes);
      this.#lastRecordBytes = bytes;
      return { file, sequence, bytes };
    } catch (error) {
      await file.close();
      await removeLogFile(this.directory, sequence);
      throw error;
    }
  }

  async #prune(): Promise<void> {
    while (this.#files.length > this.#options.limits.maxFiles) {
      const [oldest, ...rest] = this.#files;
      this.#files = rest;
      if (oldest !== undefined) await removeLogFile(this.directory, oldest);
    }
  }

  #commit(): void {
    const { sequence = 0, bytes = 0 } = this.#writing ?? {};
    this.#position = { sequence, bytes };
  }
}
