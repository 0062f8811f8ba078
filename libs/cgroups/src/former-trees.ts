/**
 * Trees of an earlier daemon.
 *
 * Under v2 the tree is below the cgroup that the daemon was started in, which can change: from a shell first, as a service later.
 * Processes stay in their cgroups, and /proc/<pid>/cgroup names them.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { CgroupMount } from "./hierarchy.ts";

/**
 * Canonical directories of v2 trees that have processes in a cgroup whose name begins with `prefix`. `treeName` is the last
 * component of a tree's path.
 */
export async function treesInUse(
  { mountPoint, root }: CgroupMount,
  treeName: string,
  prefix: string,
): Promise<string[]> {
  const found = new Set<string>();
  for (const pid of await readdir("/proc")) {
    if (!/^[0-9]+$/.test(pid)) continue;
    const text = await readFile(`/proc/${pid}/cgroup`, "utf8").catch(() => "");
    const path = /^0::(\/.*)$/m.exec(text)?.[1] ?? "";
    const above = root === "/" ? "" : root;
    const at = path.indexOf(`/${treeName}/${prefix}`);
    // A path outside of this namespace begins with "/.."; a path outside of this mount does not begin with the mount's root.
    if (at < 0 || path.split("/").includes("..") || !path.startsWith(`${above}/`)) continue;
    found.add(join(mountPoint, path.slice(above.length, at + treeName.length + 1)));
  }
  return [...found].sort();
}
