/** The one writer of cgroup control files. Controllers only say what is to be written. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CgroupError } from "./cgroup-error.ts";
import { errorCode } from "./error-code.ts";
import type { Controller } from "./hierarchy.ts";

export type CgroupVersion = 1 | 2;

export interface ControlFile {
  readonly controller: Controller;
  /** Name inside the cgroup's directory, for example `cpu.max`. */
  readonly file: string;
  readonly value: string;
  /** Left out where the kernel does not have the file. */
  readonly optional?: boolean;
  /** Comes once more further on: that the kernel finds it invalid for now (EINVAL) is no failure yet. */
  readonly provisional?: boolean;
}

/**
 * Writes in order; the first refusal stops and says which file and value. A controller that is not in
 * `directories` is refused too: a limit that cannot be kept must not look kept.
 */
export async function writeControlFiles(
  directories: ReadonlyMap<Controller, string>,
  files: readonly ControlFile[],
): Promise<void> {
  for (const { controller, file, value, optional = false, provisional = false } of files) {
    const directory = directories.get(controller);
    if (directory === undefined) {
      throw new CgroupError(
        "refused",
        `cannot set ${file}=${value}: this host has no ${controller} controller`,
      );
    }
    try {
      await writeFile(join(directory, file), value);
    } catch (cause) {
      if (optional && ["ENOENT", "EACCES", "EPERM"].includes(errorCode(cause))) continue;
      if (provisional && errorCode(cause) === "EINVAL") continue;
      const busy = errorCode(cause) === "EBUSY";
      throw new CgroupError(
        busy ? "busy" : "refused",
        `the kernel refused ${file}=${value} in ${directory}${busy ? ": more than that is in use" : ""}`,
        { cause },
      );
    }
  }
}
