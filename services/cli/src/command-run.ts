/**
 * What a command is given to work with: our streams and signals, the settings, the api, and words for failures.
 *
 * Commands are functions over a `CommandRun`. The program makes one for each command line and closes it afterwards, so that
 * nothing is kept between two and tests can run any number in one process.
 */
import { randomBytes } from "node:crypto";
import type { EventEmitter } from "node:events";
import type { Readable, Writable } from "node:stream";
import { PaddockError } from "@paddock/domain";
import type { CallOptions } from "@paddock/rpc";
import type { Command } from "commander";
import { CliError, withExitCode } from "./cli-error.ts";
import { type Api, openApi } from "./client/api.ts";
import { explain } from "./client/call-failure.ts";
import { retried } from "./client/retry.ts";
import { colorsOf, writeFailure } from "./output/failure-text.ts";
import { type Colors, Progress } from "./output/progress.ts";
import { writeTo } from "./process/output-cursor.ts";
import { isTerminal } from "./process/terminal.ts";
import { readSettings, type Settings } from "./settings.ts";

/** The world around the program. */
export type Surroundings = {
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Emits "SIGINT", "SIGTERM", … as `process` does. */
  readonly signals: Pick<EventEmitter, "on" | "off">;
  /** Ends the process at once, whatever it is doing. */
  readonly exit: (code: number) => void;
};

export type CallArguments = {
  /** Completes "cannot …". */
  readonly what: string;
  readonly requestId?: string | undefined;
  /** No deadline unless one was asked for: it is a stream, or it waits for something that may take any time. */
  readonly isOpenEnded?: boolean;
};

/** A deadline for calls when none is asked for: booting a VM by emulation on a busy host takes its time. */
const CALL_TIMEOUT_MS = 180_000;

/** A new key of idempotency. */
export const newRequestId = (): string => `cli-${randomBytes(12).toString("hex")}`;

export class CommandRun implements Disposable {
  readonly around: Surroundings;
  readonly settings: Settings;
  readonly colors: Colors;
  readonly progress: Progress;
  /** What the process shall exit with. */
  exitCode = 0;
  /** For failures that are ours and not those of the command we carry. */
  failureCode = 1;
  /** What a signal to us does; unless a command takes them over, it ends the command. */
  onSignal: (name: NodeJS.Signals) => void = (name) => this.interrupt(name);
  /** The signal that ended the command. */
  interruptedBy: NodeJS.Signals | undefined;
  #abort = new AbortController();
  readonly #lastWords = new Set<() => void>();
  #api: Api | undefined;
  #address: string;

  constructor(around: Surroundings, command: Command) {
    this.around = around;
    this.settings = readSettings(command, around.env, isTerminal(around.stdout) && isTerminal(around.stderr));
    this.#address = this.settings.address;
    this.colors = colorsOf(this.settings.color);
    this.progress = new Progress({
      stderr: around.stderr,
      isTerminal: isTerminal(around.stderr) && around.env.TERM !== "dumb",
      quiet: this.settings.quiet,
      colors: this.colors,
    });
  }

  /** Aborted when the user has had enough. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Ends all calls in flight. */
  interrupt(name: NodeJS.Signals): void {
    this.interruptedBy ??= name;
    this.#abort.abort();
  }

  /** Ends all calls in flight for a reason of the command's own. */
  endCalls(reason: Error): void {
    this.#abort.abort(reason);
  }

  /** Does what has to be done even when the user has had enough. A second signal ends that, too. */
  async cleanUp(work: () => Promise<void>): Promise<void> {
    this.#abort = new AbortController();
    this.onSignal = (name) => this.interrupt(name);
    await work();
  }

  /** Does `words`, which must not wait, when the process is ended in the middle of the command. Undo by disposing of it. */
  beforeExit(words: () => void): Disposable {
    this.#lastWords.add(words);
    return { [Symbol.dispose]: () => void this.#lastWords.delete(words) };
  }

  sayLastWords(): void {
    for (const words of this.#lastWords) words();
  }

  get isJson(): boolean {
    return this.settings.output === "json";
  }

  get api(): Api {
    const { token, tlsCa } = this.settings;
    this.#api ??= openApi({ address: this.#address, token, tlsCa });
    return this.#api;
  }

  /** Speaks to another api from now on. */
  useAddress(address: string): void {
    this.#api?.close();
    this.#api = undefined;
    this.#address = address;
  }

  /** Makes a call that may be repeated: a read, or one that carries a request id. Throws `CliError`. */
  async call<T>(args: CallArguments, invoke: (api: Api, options: CallOptions) => Promise<T>): Promise<T> {
    try {
      return await retried(() => invoke(this.api, this.callOptions(args)), this.signal);
    } catch (error) {
      throw this.explain(error, args);
    }
  }

  /** Makes a stream's worth of messages. Throws `CliError`. */
  async *stream<T>(
    args: CallArguments,
    open: (api: Api, options: CallOptions) => AsyncIterable<T>,
  ): AsyncGenerator<T> {
    try {
      yield* open(this.api, this.callOptions({ ...args, isOpenEnded: true }));
    } catch (error) {
      throw this.explain(error, args);
    }
  }

  callOptions({ requestId, isOpenEnded }: Omit<CallArguments, "what">): CallOptions {
    const timeoutMs = this.settings.timeoutMs ?? (isOpenEnded === true ? undefined : CALL_TIMEOUT_MS);
    return this.api.callOptions(requestId, { timeoutMs, signal: this.signal });
  }

  /** Puts whatever was thrown into words, if they are missing. */
  explain(error: unknown, { what, requestId }: CallArguments): unknown {
    const exitCode = this.failureCode;
    if (error instanceof PaddockError)
      return explain(error, { what, requestId, address: this.api.address, exitCode });
    return error instanceof CliError && error.exitCode === 1 ? withExitCode(error, exitCode) : error;
  }

  /** Data, for the reader of stdout. */
  print(text: string): void {
    this.around.stdout.write(text);
  }

  /** Data of which more follows: waits for a slow reader, until the user has had enough. */
  async write(data: Uint8Array | string, sink: Writable = this.around.stdout): Promise<void> {
    this.signal.throwIfAborted();
    const left = Promise.withResolvers<never>();
    const leave = () => left.reject(this.signal.reason);
    this.signal.addEventListener("abort", leave, { once: true });
    try {
      await Promise.race([writeTo(sink, data), left.promise]);
    } finally {
      this.signal.removeEventListener("abort", leave);
    }
  }

  /** Tells a failure that is not the end of the command; it exits 1, or with the failure's own code. */
  report(error: unknown): void {
    const { stderr } = this.around;
    writeFailure(error, { stderr, colors: this.colors, verbose: this.settings.verbose });
    if (this.exitCode === 0) this.exitCode = error instanceof CliError ? error.exitCode : 1;
  }

  /** A remark, for the person in front. */
  warn(text: string): void {
    if (!this.settings.quiet) this.around.stderr.write(`${this.colors.yellow("note:")} ${text}\n`);
  }

  [Symbol.dispose](): void {
    this.#api?.close();
  }
}
