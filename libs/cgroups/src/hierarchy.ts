/**
 * Where this host mounts its cgroups.
 *
 * There are three layouts: v1 (one mount per controller, or several controllers on one mount), v2 (one mount for all), and hybrid
 * (v1 mounts with the controllers, beside a v2 mount without any). /proc/self/mountinfo (proc(5)) says which controller is mounted
 * where; it is never guessed from paths.
 */
import { readFile } from "node:fs/promises";
import { CgroupError } from "./cgroup-error.ts";

export const CONTROLLERS = ["cpu", "cpuacct", "cpuset", "memory", "pids"] as const;
export type Controller = (typeof CONTROLLERS)[number];

export interface CgroupMount {
  readonly mountPoint: string;
  /** The cgroup at the mount point; not `/` inside a container. */
  readonly root: string;
}

export interface Hierarchy {
  readonly layout: "v1" | "hybrid" | "v2";
  /** The v1 mount of each controller. Empty under v2. */
  readonly v1: ReadonlyMap<Controller, CgroupMount>;
  readonly v2: CgroupMount | undefined;
  /** The v2 cgroup of this process, relative to the mount; at least `/`. */
  readonly ownV2Path: string;
}

/** mountinfo writes space, tab, newline and backslash as three octal digits. */
function unescapeOctal(field: string): string {
  return field.replaceAll(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}

function isController(word: string): word is Controller {
  return CONTROLLERS.some((controller) => controller === word);
}

interface MountLine extends CgroupMount {
  readonly type: string;
  readonly superOptions: readonly string[];
}

function parseLine(line: string): MountLine | undefined {
  const words = line.split(" ");
  // Optional fields end with a lone hyphen; type, source and super options follow.
  const hyphen = words.indexOf("-", 6);
  const [root, mountPoint, type, options] = [words[3], words[4], words[hyphen + 1], words[hyphen + 3]];
  if (hyphen < 0 || root === undefined || mountPoint === undefined || type === undefined) return undefined;
  return {
    root: unescapeOctal(root),
    mountPoint: unescapeOctal(mountPoint),
    type,
    superOptions: options?.split(",") ?? [],
  };
}

/** A cgroup's path relative to the root of the mount. */
function within(mount: CgroupMount | undefined, path: string): string {
  if (mount === undefined || mount.root === "/") return path;
  if (path === mount.root) return "/";
  return path.startsWith(`${mount.root}/`) ? path.slice(mount.root.length) : "/";
}

/** Parses /proc/self/mountinfo and /proc/self/cgroup. Throws `no-hierarchy` if no cgroup file system is mounted. */
export function parseHierarchy(mountinfo: string, selfCgroup: string): Hierarchy {
  const v1 = new Map<Controller, CgroupMount>();
  let v2: CgroupMount | undefined;
  for (const text of mountinfo.split("\n")) {
    const line = parseLine(text);
    if (line === undefined) continue;
    const mount = { mountPoint: line.mountPoint, root: line.root };
    // Only the first mount of a hierarchy counts; later ones show the same hierarchy.
    if (line.type === "cgroup2") v2 ??= mount;
    if (line.type !== "cgroup") continue;
    for (const option of line.superOptions) {
      if (isController(option) && !v1.has(option)) v1.set(option, mount);
    }
  }
  if (v1.size === 0 && v2 === undefined) {
    throw new CgroupError("no-hierarchy", "no cgroup file system is mounted; mount one at /sys/fs/cgroup");
  }
  const own = /^0::(\/.*)$/m.exec(selfCgroup)?.[1] ?? "/";
  const layout = v1.size === 0 ? "v2" : v2 === undefined ? "v1" : "hybrid";
  return { layout, v1, v2, ownV2Path: within(v2, own) };
}

export async function readHierarchy(): Promise<Hierarchy> {
  const [mountinfo, selfCgroup] = await Promise.all([
    readFile("/proc/self/mountinfo", "utf8"),
    readFile("/proc/self/cgroup", "utf8"),
  ]);
  return parseHierarchy(mountinfo, selfCgroup);
}
