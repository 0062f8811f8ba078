/** One named cgroup: a directory in each hierarchy, used as one object. */
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

/** Interval of polling. The kernel does not notify when a v1 cgroup becomes empty. */
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

  /** The leaf of that name, for some threads of this cgroup's processes. It need not exist. */
  leaf(name: string): ThreadLeaf {
    return new ThreadLeaf(name, this.version, this.directories);
  }

  /** Directories without duplicates: controllers may share one. */
  #paths(): string[] {
    return [...new Set(this.directories.values())];
  }

  /** Command prefix that places a command in this cgroup before its first instruction. */
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
   * Writes the control files from `cpuFiles`, `memoryFiles` and so on. Throws `busy` for a memory limit below current use, and
   * `refused` for other values that the kernel rejects.
   */
  async apply(files: readonly ControlFile[]): Promise<void> {
    const limit = files.find(({ file }) => file === "memory.max");
    if (limit !== undefined && limit.value !== "max") await this.#refuseBelowUse(Number(limit.value));
    await writeControlFiles(this.directories, files);
  }

  /** v1 refuses a limit below current use. v2 accepts it and kills processes until use is below it. */
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

  /** The limits, read back from the kernel. */
  limits(): Promise<CgroupLimits> {
    return readLimits(this.version, this.directories);
  }

  usage(): Promise<CgroupUsage> {
    return readUsage(this.version, this.directories);
  }

  /** Processes in any of the directories; none if the cgroup does not exist. */
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

  /** Kills every process in the cgroup and waits until all have ended. Throws `busy` at the deadline. */
  async killAll(timeoutMs = 5000): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    await this.#liftCaps();
    for (;;) {
      const pids = await this.pids();
      if (pids.length === 0) return;
      if (performance.now() >= deadline) {
        throw new CgroupError(
          "busy",
          `cgroup ${this.name}: processes ${pids.join(", ")} still run after SIGKILL`,
        );
      }
      await this.#kill(pids);
      await delay(CHECK_INTERVAL_MS);
    }
  }

  /** A thread needs CPU time to exit, and under a low cap it waits for it. */
  async #liftCaps(): Promise<void> {
    const directory = this.directories.get("cpu");
    if (directory === undefined) return;
    for (const path of [directory, ...(await childrenOf(directory))]) {
      // Best effort: without the controller, or while the cgroup is being removed, there is no cap.
      const files = cpuFiles(this.version, { quotaUs: null });
      await writeControlFiles(new Map([["cpu", path]]), files).catch(() => {});
    }
  }

  async #kill(pids: readonly number[]): Promise<void> {
    const [path] = this.#paths();
    if (this.version === 2 && path !== undefined) {
      // Linux 5.14 and later kill all processes at once, including new forks.
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

  /** Removes the cgroup and its leaves. Idempotent. Waits for exiting processes; throws `busy` at the deadline. */
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
