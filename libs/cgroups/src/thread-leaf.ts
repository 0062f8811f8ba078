/**
 * A cgroup below another, for some threads of that cgroup's processes. CPU time and CPUs of these threads are limited separately;
 * memory and the number of processes belong to the cgroup above.
 *
 * Under v1 each thread can be in any cgroup of each hierarchy. v2 has threaded cgroups: the cgroup above becomes a "threaded
 * domain" and enables only controllers that support threads for its children (cgroup-v2.rst, "Threads").
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

/** Our controllers that support threads. */
const THREADED: readonly Controller[] = ["cpu", "cpuacct", "cpuset"];

export class ThreadLeaf {
  readonly version: CgroupVersion;
  /** The leaf's directory for each thread controller. */
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

  /** Creates the leaf. The cgroup above must exist. Idempotent. */
  async create(): Promise<void> {
    for (const path of this.#paths()) {
      await mkdir(path, { mode: 0o755 }).catch((cause: unknown) => {
        if (errorCode(cause) !== "EEXIST")
          throw new CgroupError("refused", `cannot create the cgroup ${path}`, { cause });
      });
      if (this.version === 2) await makeThreaded(path);
    }
    const cpuset = this.directories.get("cpuset");
    if (this.version === 1 && cpuset !== undefined) await inheritCpuset(dirname(cpuset), cpuset);
  }

  /**
   * Moves threads from the cgroup above into the leaf. A thread that is not there (it has ended, belongs to another cgroup or is in
   * the leaf already) is skipped.
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

  /** Threads in the leaf; none if it does not exist. */
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

  /** The limits, read back from the kernel. Memory and process limits are those of the cgroup above. */
  limits(): Promise<CgroupLimits> {
    return readLimits(this.version, this.directories);
  }

  usage(): Promise<CgroupUsage> {
    return readUsage(this.version, this.directories);
  }

  /** Writes CPU time and cpuset limits. */
  apply(files: readonly ControlFile[]): Promise<void> {
    return writeControlFiles(this.directories, files);
  }
}

/** Sets the type first. After that, the cgroup above can enable thread controllers although it has processes. */
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

/** Child cgroups, which must be removed before their parent. */
export async function childrenOf(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map((entry) => join(path, entry.name));
}
