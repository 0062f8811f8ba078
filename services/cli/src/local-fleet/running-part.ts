/** One running part of the fleet: its process, its log, and its readiness. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { identify, type ProcessIdentity } from "@paddock/qemu";
import pc from "picocolors";
import { CliError } from "../cli-error.ts";
import { formatSpan } from "../output/quantities.ts";
import { BoundedLog } from "./bounded-log.ts";
import type { PartName } from "./fleet-record.ts";
import { logLine } from "./log-line.ts";

const TAIL_LINES = 15;
const NO_COLORS = pc.createColors(false);
const READY_FD = 3;

export type PartSpec = {
  readonly name: PartName;
  /** Its name in messages, such as "node daemon". */
  readonly title: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly logPath: string;
  readonly onOutput?: ((name: PartName, line: string) => void) | undefined;
};

export class RunningPart {
  readonly spec: PartSpec;
  readonly log: BoundedLog;
  readonly #child: ChildProcess;
  /** How it ended, as text. Never rejects. */
  readonly ended: Promise<string>;
  #isEnded = false;

  constructor(spec: PartSpec) {
    this.spec = spec;
    this.log = new BoundedLog(spec.logPath);
    // In its own session: a Ctrl-C at the terminal must reach the parts in order, through this process.
    this.#child = spawn(spec.command, spec.args, {
      stdio: ["ignore", "pipe", "pipe", "pipe"],
      env: { ...spec.env, PADDOCK_READY_FD: String(READY_FD) },
      detached: true,
    });
    const { promise, resolve } = Promise.withResolvers<string>();
    this.ended = promise.then((how) => {
      this.#isEnded = true;
      return how;
    });
    this.#child.once("error", (error) => resolve(`could not be started: ${error.message}`));
    this.#child.once("close", (code, signal) =>
      resolve(signal ? `was killed by ${signal}` : `exited with code ${code}`),
    );
    for (const output of [this.#child.stdout, this.#child.stderr]) if (output) this.#record(output);
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get identity(): ProcessIdentity | undefined {
    return this.#child.pid === undefined ? undefined : identify(this.#child.pid);
  }

  /** The JSON line that it writes when it is ready. Throws `CliError` if it ends first, or takes longer than `timeoutMs`. */
  async readyLine(timeoutMs: number): Promise<Record<string, unknown>> {
    const pipe = this.#child.stdio[READY_FD];
    if (!pipe || !("read" in pipe)) throw new CliError(`${this.spec.title}: its ready pipe is missing`);
    const line = await this.orFail(firstLine(pipe), timeoutMs);
    pipe.destroy();
    try {
      return JSON.parse(line ?? "");
    } catch {
      await this.orFail(new Promise<never>(() => {}), 1_000);
      throw new CliError(`${this.spec.title} did not report that it is ready`);
    }
  }

  /** Waits for `ready`. Throws a `CliError` with the end of the log if the part ends first or takes too long. */
  async orFail<T>(ready: Promise<T>, timeoutMs: number): Promise<T> {
    const timeout = Promise.withResolvers<never>();
    const fail = (why: string) =>
      new CliError(`the ${this.spec.title} ${why}`, {
        details: this.log.tail(TAIL_LINES).map((line) => `  ${logLine(this.spec.name, line, NO_COLORS)}`),
        hint: this.#hint(),
      });
    const timer = setTimeout(
      () => timeout.reject(fail(`was not ready after ${formatSpan(timeoutMs)}`)),
      timeoutMs,
    );
    const ended = this.ended.then((how) => {
      throw fail(how);
    });
    try {
      return await Promise.race([ready, ended, timeout.promise]);
    } finally {
      clearTimeout(timer);
      ended.catch(() => {});
    }
  }

  /** Sends SIGKILL, without waiting. */
  kill(): void {
    if (!this.#isEnded) this.#child.kill("SIGKILL");
  }

  /** Sends SIGTERM, then SIGKILL after `graceMs`. Idempotent. */
  async stop(graceMs: number): Promise<void> {
    if (!this.#isEnded) {
      this.#child.kill("SIGTERM");
      const timer = setTimeout(() => this.#child.kill("SIGKILL"), graceMs);
      await this.ended;
      clearTimeout(timer);
    }
    this.log.close();
  }

  #hint(): string {
    const taken = /EADDRINUSE[^\n]*?((?:[\d.]+|\[[\da-f:]+\]):\d+)|address already in use[^\n]*/i.exec(
      this.log.tail(TAIL_LINES).join("\n"),
    );
    if (taken)
      return `${taken[1] ?? "its port"} is in use; stop the program that listens there, or choose another port (0 takes a free one)`;
    return `its log is ${this.log.path}`;
  }

  #record(output: Readable): void {
    output.on("data", (data: Buffer) => this.log.write(data));
    const { onOutput, name } = this.spec;
    if (onOutput) createInterface({ input: output }).on("line", (line) => onOutput(name, line));
  }
}

async function firstLine(pipe: NodeJS.ReadableStream): Promise<string | undefined> {
  for await (const line of createInterface({ input: pipe })) return line;
  return undefined;
}
