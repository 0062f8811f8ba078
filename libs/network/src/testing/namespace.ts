/** Network namespaces of a test. Each ends with the test process, also when that is killed. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { commandRunner, type RunCommand } from "../run-command.ts";

const run = promisify(execFile);

/** A namespace, empty but for its loopback interface. */
export class Namespace implements AsyncDisposable {
  readonly pid: number;
  readonly #keeper: ChildProcess;

  private constructor(keeper: ChildProcess, pid: number) {
    this.#keeper = keeper;
    this.pid = pid;
  }

  static async create(): Promise<Namespace> {
    // `cat` ends when the test's end of its input closes.
    const keeper = spawn("unshare", ["--net", "sh", "-c", "ip link set lo up; echo ready; exec cat"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await once(keeper.stdout, "data");
    if (keeper.pid === undefined) throw new Error("no namespace: unshare did not start");
    return new Namespace(keeper, keeper.pid);
  }

  get prefix(): readonly string[] {
    return ["nsenter", `--net=/proc/${this.pid}/ns/net`];
  }

  get runner(): RunCommand {
    return commandRunner({ prefix: this.prefix });
  }

  /** Runs a shell script in the namespace; throws when it fails. */
  async shell(script: string): Promise<string> {
    const [file = "", ...args] = this.prefix;
    const { stdout } = await run(file, [...args, "bash", "-euc", script], { timeout: 20_000 });
    return stdout;
  }

  /** A program that runs in the namespace until the test ends, after it printed its first line. */
  async start(...command: string[]): Promise<Conversation> {
    const [file = "", ...args] = this.prefix;
    const child = spawn(file, [...args, ...command], { stdio: ["pipe", "pipe", "inherit"] });
    const conversation = new Conversation(child);
    await conversation.line("ready", 5000);
    return conversation;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#keeper.stdin?.end();
    if (this.#keeper.exitCode === null) await once(this.#keeper, "exit");
  }
}

/** A program that is told lines and prints lines. */
export class Conversation implements AsyncDisposable {
  readonly #child: ChildProcess;
  #lines: string[] = [];

  constructor(child: ChildProcess) {
    this.#child = child;
    // A program that has ended reads nothing, and says so by saying nothing.
    child.stdin?.on("error", () => undefined);
    if (child.stdout !== null)
      createInterface({ input: child.stdout }).on("line", (line) => this.#lines.push(line));
  }

  tell(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  /** The lines since the last call. */
  take(): readonly string[] {
    const lines = this.#lines;
    this.#lines = [];
    return lines;
  }

  /** Takes a line that begins with the text, and those before it. Answers undefined when none comes in time. */
  async line(start: string, timeoutMs: number): Promise<string | undefined> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const at = this.#lines.findIndex((line) => line.startsWith(start));
      if (at >= 0) return this.#lines.splice(0, at + 1).at(-1);
      if (performance.now() >= deadline) return undefined;
      await delay(5);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin?.end();
    this.#child.kill("SIGKILL");
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, "exit");
  }
}

/** Two interfaces joined by a cable, each in its namespace. */
export async function joinNamespaces(
  [a, nameA]: readonly [Namespace, string],
  [b, nameB]: readonly [Namespace, string],
): Promise<void> {
  await a.shell(`ip link add ${nameA} type veth peer name ${nameB} netns ${b.pid}`);
}

/** Builds `netprobe` in a directory that goes with the test. */
export async function buildNetprobe(): Promise<{ path: string } & AsyncDisposable> {
  const directory = await mkdtemp(join(tmpdir(), "netprobe-"));
  const path = join(directory, "netprobe");
  await run("gcc", ["-O1", "-o", path, join(import.meta.dirname, "netprobe.c")]);
  return {
    path,
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
}
