import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Copies the parent's CPUs and memory nodes. A new v1 cpuset is empty and accepts no process until it has both. */
export async function inheritCpuset(parent: string, child: string): Promise<void> {
  for (const file of ["cpuset.cpus", "cpuset.mems"]) {
    if ((await readFile(join(child, file), "utf8")).trim() !== "") continue;
    await writeFile(join(child, file), await readFile(join(parent, file), "utf8"));
  }
}
