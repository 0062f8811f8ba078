/**
 * A cgroup below another for some threads of its processes: those are limited in CPU time and CPUs on their own, while memory and
 * the number of processes stay with the cgroup above.
 *
 * v1 lets every thread sit where it likes in each hierarchy. v2 has threaded cgroups for this: the cgroup above becomes a
 * "threaded domain", and hands down only controllers that know threads (cgroup-v2.rst, "Threads").
 */
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { CgroupError } from "./cgroup-error.ts";
import { type CgroupVersion, type ControlFile, writeControlFiles } from "./control-file.ts";
import { errorCode } from "./error-code.ts";
import type { Controller } from "./hierarchy.ts";
import { inheritCpuset } from "./inherit-cpuset.ts";
import { type CgroupLimits, readLimits } from "./limits.ts";
import { type CgroupUsage, readUsage } from "./usage.ts";

/** Controllers of single threads, among ours. */
const THREADED: readonly Controller[] = ["cpu", "cpuacct", "cpuset"];

export class ThreadLeaf {
  readonly version: CgroupVersion;
  /** Per controller of threads, the leaf's directory. */
  readonly directories: ReadonlyMap<Controller, string>;

  constructor(name: string, version: CgroupVersion, above: ReadonlyMap<Controller, string>) {
    this.version = version;
    this.directories = new Map(
      [...above]
        .filter(([controller]) => THREADED.includes(controller))
        .map(([controller, directory]) => [controller, join(directory, name)]),
    );
  }

  #paths(): string[] {
    return [...new Set(this.directories.values())];
  }

  /** Makes it; the cgroup above must exist. Idempotent. */
  async create(): Promise<void> {
    for (const path of this.#paths()) {
      await mkdir(path, { mode: 0o755 }).catch((cause: unknown) => {
        if (errorCode(cause) !== "EEXIST")
          throw new CgroupError("refused", `cannot make the cgroup ${path}`, { cause });
      });
      if (this.version === 2) await makeThreaded(path);
    }
    const cpuset = this.directories.get("cpuset");
    if (this.version === 1 && cpuset !== undefined) await inheritCpuset(dirname(cpuset), cpuset);
  }

  /**
   * Moves threads of the cgroup above into it. Those that are not there, because they have ended, belong to others or are here
   * already, stay where they are.
   */
  async place(threadIds: readonly number[]): Promise<void> {
    const file = this.version === 1 ? "tasks" : "cgroup.threads";
    for (const path of this.#paths()) {
      const above = await readFile(join(dirname(path), file), "utf8").catch(() => "");
      const movable = new Set(above.split("\n").filter((line) => line !== ""));
      for (const threadId of threadIds) {
        if (!movable.has(String(threadId))) continue;
        await writeFile(join(path, file), String(threadId)).catch((cause: unknown) => {
          if (errorCode(cause) !== "ESRCH")
            throw new CgroupError("refused", `cannot move thread ${threadId} into ${path}`, { cause });
        });
      }
    }
  }

  /** Threads in it; none if it does not exist. */
  async threads(): Promise<number[]> {
    const [path] = this.#paths();
    if (path === undefined) return [];
    const file = this.version === 1 ? "tasks" : "cgroup.threads";
    const text = await readFile(join(path, file), "utf8").catch(() => "");
    return text
      .split("\n")
      .filter((line) => line !== "")
      .map(Number);
  }

  /** Its limits as the kernel has them; those of memory and processes are the cgroup's above. */
  limits(): Promise<CgroupLimits> {
    return readLimits(this.version, this.directories);
  }

  usage(): Promise<CgroupUsage> {
    return readUsage(this.version, this.directories);
  }

  /** Writes limits of CPU time and CPUs. */
  apply(files: readonly ControlFile[]): Promise<void> {
    return writeControlFiles(this.directories, files);
  }
}

/** Threaded first: after that, the cgroup above may hand down controllers of threads although processes are in it. */
async function makeThreaded(path: string): Promise<void> {
  try {
    if ((await readFile(join(path, "cgroup.type"), "utf8")).trim() !== "threaded")
      await writeFile(join(path, "cgroup.type"), "threaded");
    const above = dirname(path);
    const available = (await readFile(join(above, "cgroup.controllers"), "utf8")).trim().split(" ");
    const ours = THREADED.filter((controller) => available.includes(controller));
    if (ours.length > 0)
      await writeFile(
        join(above, "cgroup.subtree_control"),
        ours.map((controller) => `+${controller}`).join(" "),
      );
  } catch (cause) {
    throw new CgroupError("refused", `cannot make ${path} a threaded cgroup`, { cause });
  }
}

/** Directories directly below one, which must go before it can. */
export async function childrenOf(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map((entry) => join(path, entry.name));
}
