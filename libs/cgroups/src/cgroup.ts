/** One named cgroup: a directory in each hierarchy, handled as one thing. */
import { access, readFile, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { CgroupError } from "./cgroup-error.ts";
import { type CgroupVersion, type ControlFile, writeControlFiles } from "./control-file.ts";
import { cpuFiles } from "./cpu.ts";
import { errorCode } from "./error-code.ts";
import type { Controller } from "./hierarchy.ts";
import { type CgroupLimits, readLimits } from "./limits.ts";
import { unreclaimableBytes } from "./memory.ts";
import { placementPrefix } from "./placement-prefix.ts";
import { childrenOf, ThreadLeaf } from "./thread-leaf.ts";
import { type CgroupUsage, readUsage } from "./usage.ts";

/** The kernel tells nobody when a v1 cgroup has emptied; the condition is asked for at this interval. */
const CHECK_INTERVAL_MS = 10;

export class Cgroup {
  readonly name: string;
  readonly version: CgroupVersion;
  readonly directories: ReadonlyMap<Controller, string>;

  constructor(name: string, version: CgroupVersion, directories: ReadonlyMap<Controller, string>) {
    this.name = name;
    this.version = version;
    this.directories = directories;
  }

  /** The cgroup of that name below this one, for some threads of its processes; whether it exists or not. */
  leaf(name: string): ThreadLeaf {
    return new ThreadLeaf(name, this.version, this.directories);
  }

  /** Each directory once: several controllers may share one. */
  #paths(): string[] {
    return [...new Set(this.directories.values())];
  }

  /** Words to put before a command so that it is in this cgroup from its first instruction. */
  placement(): string[] {
    return placementPrefix(this.#paths().map((path) => join(path, "cgroup.procs")));
  }

  async exists(): Promise<boolean> {
    const found = await Promise.all(
      this.#paths().map((path) =>
        access(path).then(
          () => true,
          () => false,
        ),
      ),
    );
    return found.includes(true);
  }

  /**
   * Writes what the controllers' functions (`cpuFiles`, `memoryFiles`…) return. Throws `busy` for a memory limit below what is
   * in use, `refused` for what else the kernel does not take.
   */
  async apply(files: readonly ControlFile[]): Promise<void> {
    const limit = files.find(({ file }) => file === "memory.max");
    if (limit !== undefined && limit.value !== "max") await this.#refuseBelowUse(Number(limit.value));
    await writeControlFiles(this.directories, files);
  }

  /** v1 refuses such a limit by itself; v2 takes it, and kills until it is kept. */
  async #refuseBelowUse(limitBytes: number): Promise<void> {
    const directory = this.directories.get("memory");
    if (directory === undefined) return;
    const read = (file: string) => readFile(join(directory, file), "utf8");
    const [current, stat] = await Promise.all([read("memory.current"), read("memory.stat")]).catch(
      (cause) => {
        throw new CgroupError("refused", `cannot read the memory in use of ${directory}`, { cause });
      },
    );
    const used = unreclaimableBytes(current, stat);
    if (used > limitBytes)
      throw new CgroupError(
        "busy",
        `cannot limit ${directory} to ${limitBytes} bytes: ${used} are in use and cannot be reclaimed`,
      );
  }

  /** Its limits as the kernel has them. */
  limits(): Promise<CgroupLimits> {
    return readLimits(this.version, this.directories);
  }

  usage(): Promise<CgroupUsage> {
    return readUsage(this.version, this.directories);
  }

  /** Processes in any of its directories; none if it does not exist. */
  async pids(): Promise<number[]> {
    const pids = new Set<number>();
    for (const path of this.#paths()) {
      const text = await readFile(join(path, "cgroup.procs"), "utf8").catch((cause: unknown) => {
        if (["ENOENT", "ENODEV"].includes(errorCode(cause))) return "";
        throw new CgroupError("refused", `cannot list the processes of ${path}`, { cause });
      });
      for (const line of text.split("\n")) if (line !== "") pids.add(Number(line));
    }
    return [...pids];
  }

  /** Kills every process in it and waits until they are gone. Throws `busy` at the deadline. */
  async killAll(timeoutMs = 5000): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    await this.#liftCaps();
    for (;;) {
      const pids = await this.pids();
      if (pids.length === 0) return;
      if (performance.now() >= deadline) {
        throw new CgroupError("busy", `cgroup ${this.name}: processes ${pids.join(", ")} outlive SIGKILL`);
      }
      await this.#kill(pids);
      await delay(CHECK_INTERVAL_MS);
    }
  }

  /** A thread needs CPU time to end, too, and would wait for it under a low cap. */
  async #liftCaps(): Promise<void> {
    const directory = this.directories.get("cpu");
    if (directory === undefined) return;
    for (const path of [directory, ...(await childrenOf(directory))]) {
      // Best effort: where the controller is missing or the cgroup is just going, there is no cap to lift.
      const files = cpuFiles(this.version, { quotaUs: null });
      await writeControlFiles(new Map([["cpu", path]]), files).catch(() => {});
    }
  }

  async #kill(pids: readonly number[]): Promise<void> {
    const [path] = this.#paths();
    if (this.version === 2 && path !== undefined) {
      // Linux 5.14 and later: all of them in one go, forks included.
      const done = await writeFile(join(path, "cgroup.kill"), "1").then(
        () => true,
        () => false,
      );
      if (done) return;
    }
    for (const pid of pids) {
      try {
        process.kill(pid, "SIGKILL");
      } catch (cause) {
        if (errorCode(cause) !== "ESRCH") {
          throw new CgroupError("refused", `cannot kill process ${pid} of cgroup ${this.name}`, { cause });
        }
      }
    }
  }

  /** Removes it and its leaves; idempotent. A process that is just ending keeps it busy for a moment; `busy` at the deadline. */
  async remove(timeoutMs = 2000): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    for (const path of this.#paths())
      for (const directory of [...(await childrenOf(path)), path]) await removeDirectory(directory, deadline);
  }
}

async function removeDirectory(path: string, deadline: number): Promise<void> {
  for (;;) {
    const code = await rmdir(path).then(() => "", errorCode);
    if (code === "" || code === "ENOENT") return;
    if (code !== "EBUSY") throw new CgroupError("refused", `cannot remove the cgroup ${path}: ${code}`);
    if (performance.now() >= deadline)
      throw new CgroupError("busy", `cgroup ${path} still has processes; end them, then remove it again`);
    await delay(CHECK_INTERVAL_MS);
  }
}
