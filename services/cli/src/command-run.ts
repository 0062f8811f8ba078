/**
 * The context of a command: its streams and signals, the settings, the api, and messages for failures.
 *
 * Commands are functions over a `CommandRun`. The program creates one for each command line and closes it afterwards, so that
 * command lines share nothing and tests can run any number in one process.
 */
import type { EventEmitter } from "node:events";
import type { Readable, Writable } from "node:stream";
import { type CallOptions, newRequestId, type StreamOptions } from "@paddock/client";
import { type ErrorKind, PaddockError } from "@paddock/domain";
import { AbortRace } from "@paddock/rpc";
import type { Command } from "commander";
import { CliError, withExitCode } from "./cli-error.ts";
import { explainFailure } from "./client/explain-failure.ts";
import { type Api, openApi } from "./client/open-api.ts";
import { colorsOf, writeFailure } from "./output/failure-text.ts";
import { type Colors, Progress } from "./output/progress.ts";
import { isTerminal } from "./output/terminal.ts";
import { writeTo } from "./output/write-to.ts";
import { readSettings, type Settings } from "./settings.ts";

/** The environment of the program: that of the operating system, or a test's. */
export type Surroundings = {
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Emits "SIGINT", "SIGTERM", … as `process` does. */
  readonly signals: Pick<EventEmitter, "on" | "off">;
  /** Ends the process at once. */
  readonly exit: (code: number) => void;
};

export type CallArguments = {
  /** Completes "cannot …". */
  readonly what: string;
  /** The id of the request, for the error message. */
  readonly requestId?: string | undefined;
};

/** The message for the user before a stream is resumed. */
export const CONNECTION_LOST = "connection lost, reconnecting";

/** The description of a change. */
export type Change<T> = {
  /** Completes "cannot …". */
  readonly what: string;
  /** The text while the change is in progress, and the one after it. If absent, no progress is shown. */
  readonly doing?: string;
  readonly done?: (value: T) => string;
};

export class CommandRun implements Disposable {
  readonly around: Surroundings;
  readonly settings: Settings;
  readonly colors: Colors;
  readonly progress: Progress;
  /** Exit code of the command line. */
  exitCode = 0;
  /** Exit code for failures of the command line itself, as opposed to failures of the command that it runs in a container. */
  failureCode = 1;
  /** Handles a signal. By default it ends the command. */
  onSignal: (name: NodeJS.Signals) => void = (name) => this.interrupt(name);
  /** The signal that ended the command. */
  interruptedBy: NodeJS.Signals | undefined;
  #abort = new AbortController();
  #race = new AbortRace(this.#abort.signal);
  readonly #restores = new Set<() => void>();
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

  /** Aborted when the user interrupts the command. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Ends all calls in flight. */
  interrupt(name: NodeJS.Signals): void {
    this.interruptedBy ??= name;
    this.#abort.abort();
  }

  /** Ends all calls in flight with a reason that the command gives. */
  endCalls(reason: Error): void {
    this.#abort.abort(reason);
  }

  /** Does work that must be done even after an interrupt. The next signal ends it. */
  async cleanUp(work: () => Promise<void>): Promise<void> {
    this.#abort = new AbortController();
    this.#race = new AbortRace(this.#abort.signal);
    this.onSignal = (name) => this.interrupt(name);
    await work();
  }

  /**
   * Calls `restore`, which must be synchronous, when the process exits during the command. Dispose of the result to unregister
   * it.
   */
  beforeExit(restore: () => void): Disposable {
    this.#restores.add(restore);
    return { [Symbol.dispose]: () => void this.#restores.delete(restore) };
  }

  /** Calls the functions registered with `beforeExit`. */
  restoreAll(): void {
    for (const restore of this.#restores) restore();
  }

  get isJson(): boolean {
    return this.settings.output === "json";
  }

  get api(): Api {
    const { token, tlsCa } = this.settings;
    this.#api ??= openApi({ address: this.#address, token, tlsCa });
    return this.#api;
  }

  /** Uses another api from now on. */
  useAddress(address: string): void {
    this.#api?.close();
    this.#api = undefined;
    this.#address = address;
  }

  /** Calls the api. Throws `CliError`. */
  async call<T>(args: CallArguments, invoke: (api: Api, options: CallOptions) => Promise<T>): Promise<T> {
    try {
      return await invoke(this.api, this.callOptions());
    } catch (error) {
      throw this.explain(error, args);
    }
  }

  /** Calls the api. Returns undefined if it fails with an error of a kind in `ignored`. Throws `CliError` for others. */
  callUnless<T>(
    ignored: ReadonlySet<ErrorKind>,
    args: CallArguments,
    invoke: (api: Api, options: CallOptions) => Promise<T>,
  ): Promise<T | undefined> {
    return this.call(args, (api, options) =>
      invoke(api, options).catch((error: unknown) => {
        if (error instanceof PaddockError && ignored.has(error.kind)) return undefined;
        throw error;
      }),
    );
  }

  /** Makes a change through the api, with a request id that errors show. Throws `CliError`. */
  change<T>(
    { what, doing, done }: Change<T>,
    invoke: (api: Api, requestId: string, options: CallOptions) => Promise<T>,
  ): Promise<T> {
    const requestId = newRequestId("cli");
    const call = () => this.call({ what, requestId }, (api, options) => invoke(api, requestId, options));
    return doing === undefined ? call() : this.progress.phase(doing, call, done);
  }

  /** Reads messages from the api. Warns the user when the connection is lost. Throws `CliError`. */
  async *stream<T>(
    args: CallArguments,
    open: (api: Api, options: StreamOptions) => AsyncIterable<T>,
  ): AsyncGenerator<T> {
    try {
      yield* open(this.api, { ...this.callOptions(), onLost: () => this.warn(CONNECTION_LOST) });
    } catch (error) {
      throw this.explain(error, args);
    }
  }

  /** The options that the user set for every call, and the signal that ends them. */
  callOptions(): CallOptions {
    const { timeoutMs } = this.settings;
    return { ...(timeoutMs !== undefined && { timeoutMs }), signal: this.signal };
  }

  /** Converts an error for the user. An error with a message for the user only gets the command's exit code. */
  explain(error: unknown, { what, requestId }: CallArguments): unknown {
    const exitCode = this.failureCode;
    if (error instanceof PaddockError)
      return explainFailure(error, { what, requestId, address: this.api.address, exitCode });
    return error instanceof CliError && error.exitCode === 1 ? withExitCode(error, exitCode) : error;
  }

  /** Prints data to stdout. */
  print(text: string): void {
    this.around.stdout.write(text);
  }

  /** Prints a value to stdout as indented JSON. */
  printJson(value: unknown): void {
    this.print(`${JSON.stringify(value, null, 2)}\n`);
  }

  /** Writes data that more follows: waits for a slow reader, until the user interrupts. */
  async write(data: Uint8Array | string, sink: Writable = this.around.stdout): Promise<void> {
    this.signal.throwIfAborted();
    await this.#race.run(writeTo(sink, data));
  }

  /** Reports a failure that does not end the command. The exit code will be 1, or that of the failure. */
  report(error: unknown): void {
    const { stderr } = this.around;
    writeFailure(error, { stderr, colors: this.colors, verbose: this.settings.verbose });
    if (this.exitCode === 0) this.exitCode = error instanceof CliError ? error.exitCode : 1;
  }

  /** Prints a note for the user to stderr. */
  warn(text: string): void {
    if (!this.settings.quiet) this.around.stderr.write(`${this.colors.yellow("note:")} ${text}\n`);
  }

  [Symbol.dispose](): void {
    this.#api?.close();
  }
}
