/** The only writer of cgroup control files. The controllers' functions return what to write. */
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
  /** Skipped when the kernel does not have the file. */
  readonly optional?: boolean;
  /** The same file is written again later in the list, so EINVAL is ignored here. */
  readonly provisional?: boolean;
}

/**
 * Writes the files in order and stops at the first error, which names the file and the value. A controller that is not in
 * `directories` is an error too: a limit that cannot be enforced must not appear to be.
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
        `the kernel refused ${file}=${value} in ${directory}${busy ? ": current use is higher" : ""}`,
        { cause },
      );
    }
  }
}
