/** Runs the system's own programs: fixed names, text in, text out, a deadline and a bound on what they print. */
import { type ChildProcess, spawn } from "node:child_process";
import { NetworkError } from "./network-error.ts";

export type Program = "nft" | "ip" | "bridge" | "tc" | "sysctl";

export type Command = {
  readonly program: Program;
  readonly args: readonly string[];
  /** What the program reads. */
  readonly input?: string;
};

/** Runs a command and answers what it printed. Throws `NetworkError`. */
export type RunCommand = (command: Command, signal?: AbortSignal) => Promise<string>;

export type RunnerOptions = {
  readonly timeoutMs?: number;
  readonly maxOutputBytes?: number;
  /** Put before each command, for instance `nsenter --net=/run/netns/x`. */
  readonly prefix?: readonly string[];
};

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const SHOWN_OF_STDERR = 2000;

/** A runner of this host's programs. */
export function commandRunner({
  timeoutMs = 10_000,
  maxOutputBytes = 64 * 1024 * 1024,
  prefix = [],
}: RunnerOptions = {}): RunCommand {
  return (command, signal) => {
    const [file = command.program, ...args] = [...prefix, command.program, ...command.args];
    const deadline = AbortSignal.timeout(timeoutMs);
    signal?.throwIfAborted();
    const child = spawn(file, args, {
      env: { PATH, LC_ALL: "C" },
      stdio: ["pipe", "pipe", "pipe"],
      signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]),
      killSignal: "SIGKILL",
    });
    const call = { command, child, timeoutMs, maxOutputBytes, signal };
    return outcome(call);
  };
}

type Call = {
  readonly command: Command;
  readonly child: ChildProcess;
  readonly timeoutMs: number;
  readonly maxOutputBytes: number;
  readonly signal: AbortSignal | undefined;
};

async function outcome({ command, child, timeoutMs, maxOutputBytes, signal }: Call): Promise<string> {
  const words = [command.program, ...command.args].join(" ");
  const printed = { stdout: "", stderr: "", isTooMuch: false };
  for (const name of ["stdout", "stderr"] as const)
    child[name]?.setEncoding("utf8").on("data", (chunk: string) => {
      printed[name] += chunk;
      if (printed.stdout.length + printed.stderr.length <= maxOutputBytes) return;
      printed.isTooMuch = true;
      child.kill("SIGKILL");
    });
  // A program that ends early does not read its input; its exit code says why.
  child.stdin?.on("error", () => undefined);
  child.stdin?.end(command.input ?? "");
  const { promise: ended, resolve } = Promise.withResolvers<number | Error>();
  child.on("error", resolve);
  child.on("close", (code) => resolve(code ?? -1));
  const end = await ended;
  if (end === 0 && !printed.isTooMuch) return printed.stdout;
  signal?.throwIfAborted();
  if (printed.isTooMuch)
    throw new NetworkError("unresponsive", `${words} printed more than ${maxOutputBytes} characters`);
  if (end instanceof Error) throw failedStart(end, { words, timeoutMs });
  const said = printed.stderr.trim().slice(0, SHOWN_OF_STDERR);
  throw new NetworkError("refused", `${words} failed: ${said === "" ? `exit code ${end}` : said}`);
}

function failedStart(cause: Error, { words, timeoutMs }: { words: string; timeoutMs: number }): NetworkError {
  if (cause.name === "AbortError")
    return new NetworkError("unresponsive", `${words} did not end within ${timeoutMs} ms`, { cause });
  if ("code" in cause && cause.code === "ENOENT")
    return new NetworkError("missing", `${words} cannot run: the program is not installed`, { cause });
  return new NetworkError("refused", `${words} cannot run`, { cause });
}
