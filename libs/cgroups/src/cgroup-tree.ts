/**
 * `<parent>/paddock/<name>/`, in every hierarchy that carries one of our controllers.
 *
 * The parent is the hierarchy's root under v1, where a daemon's own cgroup may change from start to start,
 * and the daemon's own cgroup under v2, which is what systemd delegates (Delegate=yes): nothing outside of it is
 * written, but for cgroups that an earlier daemon made from another one. v2 forbids processes in a cgroup that hands controllers to its children, so there the daemon moves
 * itself into a leaf first.
 */
import { access, mkdir, readdir, readFile, realpath, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Cgroup } from "./cgroup.ts";
import { CgroupError } from "./cgroup-error.ts";
import type { CgroupVersion } from "./control-file.ts";
import { errorCode } from "./error-code.ts";
import { treesInUse } from "./former-trees.ts";
import { CONTROLLERS, type Controller, type Hierarchy } from "./hierarchy.ts";
import { inheritCpuset } from "./inherit-cpuset.ts";

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/;
const TREE = "paddock";
/** Where a v2 daemon puts itself; no sandbox can have this name, because it is not below `paddock/`. */
const DAEMON_LEAF = "paddock-daemon";

/** Whether it had to be made. */
async function makeDirectory(path: string): Promise<boolean> {
  try {
    await mkdir(path, { mode: 0o755 });
    return true;
  } catch (cause) {
    if (errorCode(cause) === "EEXIST") return false;
    throw new CgroupError("refused", `cannot make the cgroup ${path}`, { cause });
  }
}

export interface CgroupTreeOptions {
  /** Subtree to work under, below the place told above and never beside it; from configuration only. */
  readonly parent?: string;
}

export class CgroupTree {
  readonly version: CgroupVersion;
  readonly layout: Hierarchy["layout"];
  /** Per controller, the canonical directory that holds one directory per name. */
  readonly roots: ReadonlyMap<Controller, string>;

  private constructor(layout: Hierarchy["layout"], roots: ReadonlyMap<Controller, string>) {
    this.layout = layout;
    this.version = layout === "v2" ? 2 : 1;
    this.roots = roots;
  }

  /** Makes the tree's own directories. Needs root, or a delegated subtree. */
  static async open(hierarchy: Hierarchy, options: CgroupTreeOptions = {}): Promise<CgroupTree> {
    const parent = options.parent?.split("/").filter((part) => part !== "") ?? [];
    if (parent.includes("..") || parent.includes(".")) {
      throw new CgroupError("invalid", `the cgroup parent ${options.parent} must not contain . or ..`);
    }
    const open = hierarchy.layout === "v2" ? openV2 : openV1;
    const roots = await open(hierarchy, parent);
    return new CgroupTree(hierarchy.layout, roots);
  }

  /**
   * Trees of v2 that are elsewhere, because an earlier daemon was started in another cgroup: those of `known`, and those in which
   * processes of cgroups are whose names begin with `prefix`. Those that are no more are left out.
   */
  async former(hierarchy: Hierarchy, known: readonly string[], prefix: string): Promise<CgroupTree[]> {
    const { v2 } = hierarchy;
    if (this.version === 1 || v2 === undefined) return [];
    const mountPoint = await realpath(v2.mountPoint);
    const paths = new Set([...known, ...(await treesInUse({ ...v2, mountPoint }, TREE, prefix))]);
    const trees: CgroupTree[] = [];
    for (const path of paths) {
      const isOne = path.startsWith(`${mountPoint}/`) && path.endsWith(`/${TREE}`) && path !== this.path;
      if (!isOne || (await realpath(path).catch(() => "")) !== path) continue;
      trees.push(new CgroupTree(this.layout, await rootsOfV2(path)));
    }
    return trees;
  }

  /** Where its cgroups are, under v2; under v1 in the first hierarchy. */
  get path(): string {
    return this.roots.values().next().value ?? "";
  }

  /** Whether the cgroup of that name exists in it. */
  async has(name: string): Promise<boolean> {
    return await this.get(name).exists();
  }

  /** Makes the cgroup of that name, or finds it: creating is idempotent. */
  async create(name: string): Promise<Cgroup> {
    const cgroup = this.get(name);
    const undo: string[] = [];
    try {
      for (const [controller, root] of this.roots) {
        const directory = join(root, name);
        // What was there before stays, whatever comes.
        if (await makeDirectory(directory)) undo.push(directory);
        if ((await realpath(directory)) !== directory) {
          throw new CgroupError("invalid", `the cgroup ${directory} is not where its name says`);
        }
        if (this.version === 1 && controller === "cpuset") await inheritCpuset(root, directory);
      }
    } catch (error) {
      for (const directory of undo.toReversed()) await rmdir(directory).catch(() => {});
      throw error;
    }
    return cgroup;
  }

  /** The cgroup of that name, whether it exists or not. Throws `invalid` for a name that could lead elsewhere. */
  get(name: string): Cgroup {
    if (!NAME.test(name)) throw new CgroupError("invalid", `${JSON.stringify(name)} is not a cgroup name`);
    const directories = new Map<Controller, string>();
    for (const [controller, root] of this.roots) directories.set(controller, join(root, name));
    return new Cgroup(name, this.version, directories);
  }

  /** Names that exist in at least one hierarchy: what a start-up sweep compares with its records. */
  async list(): Promise<string[]> {
    const names = new Set<string>();
    for (const root of new Set(this.roots.values())) {
      for (const entry of await readdir(root, { withFileTypes: true })) {
        if (entry.isDirectory() && NAME.test(entry.name)) names.add(entry.name);
      }
    }
    return [...names].sort();
  }
}

async function openV1(hierarchy: Hierarchy, parent: readonly string[]): Promise<Map<Controller, string>> {
  const roots = new Map<Controller, string>();
  for (const [controller, mount] of hierarchy.v1) {
    // Canonical first: cpu and cpuacct may be two links to one directory.
    let directory = await realpath(mount.mountPoint);
    for (const part of [...parent, TREE]) {
      const child = join(directory, part);
      await makeDirectory(child);
      if (controller === "cpuset") await inheritCpuset(directory, child);
      directory = child;
    }
    roots.set(controller, directory);
  }
  return roots;
}

/** Hands our controllers down; answers those that this cgroup has to hand down. */
async function enableControllers(directory: string): Promise<Controller[]> {
  const file = join(directory, "cgroup.controllers");
  const text = await readFile(file, "utf8").catch((cause: unknown) => {
    throw new CgroupError("refused", `cannot read ${file}`, { cause });
  });
  const available = text.trim().split(" ");
  const ours = CONTROLLERS.filter((controller) => available.includes(controller));
  const value = ours.map((controller) => `+${controller}`).join(" ");
  try {
    if (value !== "") await writeFile(join(directory, "cgroup.subtree_control"), value);
  } catch (cause) {
    const hint = "under systemd the unit needs Delegate=yes";
    throw new CgroupError("refused", `cannot enable ${value} in ${directory}; ${hint}`, { cause });
  }
  return ours;
}

/** Moves every process of a cgroup into a leaf below it, so that it may hand controllers down. */
async function settleInLeaf(directory: string): Promise<void> {
  const leaf = join(directory, DAEMON_LEAF);
  await makeDirectory(leaf);
  for (const pid of (await readFile(join(directory, "cgroup.procs"), "utf8")).split("\n")) {
    if (pid === "") continue;
    await writeFile(join(leaf, "cgroup.procs"), pid).catch((cause: unknown) => {
      // It ended in the meantime.
      if (errorCode(cause) !== "ESRCH") {
        throw new CgroupError("refused", `cannot move process ${pid} into ${leaf}`, { cause });
      }
    });
  }
}

/** The root of all cgroups takes processes beside children, and alone has no type. A container may see another as its root. */
async function isRoot(directory: string): Promise<boolean> {
  return await access(join(directory, "cgroup.type")).then(
    () => false,
    () => true,
  );
}

async function openV2(hierarchy: Hierarchy, parent: readonly string[]): Promise<Map<Controller, string>> {
  const mount = hierarchy.v2;
  if (mount === undefined) throw new CgroupError("no-hierarchy", "no cgroup v2 mount");
  let own = hierarchy.ownV2Path.split("/").filter((part) => part !== "");
  // A daemon that was here before sits in its leaf; the delegated cgroup is the one above.
  if (own.at(-1) === DAEMON_LEAF) own = own.slice(0, -1);
  let directory = join(await realpath(mount.mountPoint), ...own);
  if (!(await isRoot(directory))) await settleInLeaf(directory);
  for (const part of parent) {
    await enableControllers(directory);
    directory = join(directory, part);
    await makeDirectory(directory);
  }
  await enableControllers(directory);
  const tree = join(directory, TREE);
  await makeDirectory(tree);
  return rootsOfV2(tree);
}

async function rootsOfV2(tree: string): Promise<Map<Controller, string>> {
  const controllers = await enableControllers(tree);
  const roots = new Map<Controller, string>(controllers.map((controller) => [controller, tree]));
  // CPU time is counted in every v2 cgroup, with or without the controller.
  if (!roots.has("cpu")) roots.set("cpu", tree);
  return roots;
}
