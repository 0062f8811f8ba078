/**
 * Trees of an earlier daemon.
 *
 * Under v2 a tree is below the cgroup that the daemon was started in, and a daemon may be started in another one: from a shell first,
 * as a service later. The kernel keeps processes where they are, and tells where that is.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { CgroupMount } from "./hierarchy.ts";

/**
 * Directories of v2 trees, canonical, in which processes of this host are below a name that begins with `prefix`. `treeName` is the last
 * part of a tree's path.
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
    // What is outside of this namespace begins with "/..", and what is outside of this mount not with its root.
    if (at < 0 || path.split("/").includes("..") || !path.startsWith(`${above}/`)) continue;
    found.add(join(mountPoint, path.slice(above.length, at + treeName.length + 1)));
  }
  return [...found].sort();
}
