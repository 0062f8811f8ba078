/**
 * The tree `<parent>/paddock/<name>/`, in every hierarchy that has one of our controllers.
 *
 * Under v1 the parent is the root of the hierarchy, because a daemon's own cgroup can differ at each start. Under v2 it is the
 * daemon's own cgroup, which systemd delegates (Delegate=yes). Nothing outside of it is written, except for cgroups that an earlier
 * daemon created from another cgroup. v2 forbids processes in a cgroup that enables controllers for its children, so the daemon
 * moves itself into a leaf first.
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
/** The leaf of a v2 daemon. It cannot clash with a sandbox's cgroup, because it is not below `paddock/`. */
const DAEMON_LEAF = "paddock-daemon";

/** Returns false when the directory exists already. */
async function makeDirectory(path: string): Promise<boolean> {
  try {
    await mkdir(path, { mode: 0o755 });
    return true;
  } catch (cause) {
    if (errorCode(cause) === "EEXIST") return false;
    throw new CgroupError("refused", `cannot create the cgroup ${path}`, { cause });
  }
}

export interface CgroupTreeOptions {
  /** Path below the parent described above, and never outside of it; from configuration only. */
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

  /** Creates the tree's own directories. Needs root or a delegated subtree. */
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
   * v2 trees in other places, created by an earlier daemon that was started in another cgroup: those in `known`, and those with
   * processes in a cgroup whose name begins with `prefix`. Trees that no longer exist are left out.
   */
  async former(hierarchy: Hierarchy, known: readonly string[], prefix: string): Promise<CgroupTree[]> {
    const { v2 } = hierarchy;
    if (this.version === 1 || v2 === undefined) return [];
    const mountPoint = await realpath(v2.mountPoint);
    const paths = new Set([...known, ...(await treesInUse({ ...v2, mountPoint }, TREE, prefix))]);
    const trees: CgroupTree[] = [];
    for (const path of paths) {
      const isTree = path.startsWith(`${mountPoint}/`) && path.endsWith(`/${TREE}`) && path !== this.path;
      if (!isTree || (await realpath(path).catch(() => "")) !== path) continue;
      trees.push(new CgroupTree(this.layout, await rootsOfV2(path)));
    }
    return trees;
  }

  /** Directory of the tree under v2; under v1 that of the first hierarchy. */
  get path(): string {
    return this.roots.values().next().value ?? "";
  }

  /** Whether the tree has a cgroup of that name. */
  async has(name: string): Promise<boolean> {
    return await this.get(name).exists();
  }

  /** Creates the cgroup of that name. Idempotent. */
  async create(name: string): Promise<Cgroup> {
    const cgroup = this.get(name);
    const undo: string[] = [];
    try {
      for (const [controller, root] of this.roots) {
        const directory = join(root, name);
        // On failure, only a directory created here is removed.
        if (await makeDirectory(directory)) undo.push(directory);
        if ((await realpath(directory)) !== directory) {
          throw new CgroupError("invalid", `the cgroup ${directory} resolves to another path`);
        }
        if (this.version === 1 && controller === "cpuset") await inheritCpuset(root, directory);
      }
    } catch (error) {
      for (const directory of undo.toReversed()) await rmdir(directory).catch(() => {});
      throw error;
    }
    return cgroup;
  }

  /** The cgroup of that name, which need not exist. Throws `invalid` for a name that could lead to another path. */
  get(name: string): Cgroup {
    if (!NAME.test(name)) throw new CgroupError("invalid", `${JSON.stringify(name)} is not a cgroup name`);
    const directories = new Map<Controller, string>();
    for (const [controller, root] of this.roots) directories.set(controller, join(root, name));
    return new Cgroup(name, this.version, directories);
  }

  /** Names that exist in at least one hierarchy. The sweep at start compares them with the records. */
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
    // Resolved first: cpu and cpuacct may be two links to one directory.
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

/** Enables our controllers for child cgroups. Returns the controllers that are available. */
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

/** Moves every process of a cgroup into a leaf below it, so that the cgroup can enable controllers for its children. */
async function moveIntoLeaf(directory: string): Promise<void> {
  const leaf = join(directory, DAEMON_LEAF);
  await makeDirectory(leaf);
  for (const pid of (await readFile(join(directory, "cgroup.procs"), "utf8")).split("\n")) {
    if (pid === "") continue;
    await writeFile(join(leaf, "cgroup.procs"), pid).catch((cause: unknown) => {
      // The process has ended.
      if (errorCode(cause) !== "ESRCH") {
        throw new CgroupError("refused", `cannot move process ${pid} into ${leaf}`, { cause });
      }
    });
  }
}

/**
 * Whether this is the root of all cgroups, the only one that has no `cgroup.type` and may have processes beside children. The root that
 * a container sees is another cgroup.
 */
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
  // A daemon that is already in its leaf uses the cgroup above, which is the delegated one.
  if (own.at(-1) === DAEMON_LEAF) own = own.slice(0, -1);
  let directory = join(await realpath(mount.mountPoint), ...own);
  if (!(await isRoot(directory))) await moveIntoLeaf(directory);
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
  // v2 counts CPU time in every cgroup, even without the controller.
  if (!roots.has("cpu")) roots.set("cpu", tree);
  return roots;
}
