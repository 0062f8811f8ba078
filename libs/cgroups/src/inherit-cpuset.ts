import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** A v1 cpuset starts empty and takes no process until it has CPUs and memory nodes; the parent's are taken. */
export async function inheritCpuset(parent: string, child: string): Promise<void> {
  for (const file of ["cpuset.cpus", "cpuset.mems"]) {
    if ((await readFile(join(child, file), "utf8")).trim() !== "") continue;
    await writeFile(join(child, file), await readFile(join(parent, file), "utf8"));
  }
}
