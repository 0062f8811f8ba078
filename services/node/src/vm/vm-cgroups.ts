/**
 * The VMs' cgroups of one state directory. Their names begin with a hash of that directory, so that two daemons on one host
 * (mostly in tests) do not sweep each other's.
 *
 *     <name>         QEMU's process: memory, processes, shares of a contended CPU
 *     <name>/vcpu    its vCPU threads: CPU time, CPUs
 *
 * The cap applies to the guest only. QEMU's other work (disks, network, migration) does not reduce the CPU time of the containers; it
 * is counted, and limited by the shares.
 */
import { createHash } from "node:crypto";
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type Cgroup,
  CgroupTree,
  cpuFiles,
  cpusetFiles,
  type Hierarchy,
  memoryFiles,
  pidsFiles,
  readHierarchy,
} from "@paddock/cgroups";
import type { CgroupFigures, CgroupLayout, HostLimits, MachineCgroups } from "./machine-port.ts";

const KILL_TIMEOUT_MS = 5000;
/** A file in the state directory. */
const RECORD = "cgroup-trees";
const LEAF = "vcpu";
const DEFAULT_SHARES = 1024;

export class VmCgroups implements MachineCgroups {
  /** The tree for new cgroups. */
  readonly #tree: CgroupTree;
  /** Trees of earlier daemons that still exist. */
  readonly #former: readonly CgroupTree[];
  readonly #prefix: string;

  private constructor(tree: CgroupTree, former: readonly CgroupTree[], prefix: string) {
    this.#tree = tree;
    this.#former = former;
    this.#prefix = prefix;
  }

  static async open(stateDir: string, hierarchy?: Hierarchy): Promise<VmCgroups> {
    const found = hierarchy ?? (await readHierarchy());
    const prefix = `${createHash("sha256").update(stateDir).digest("hex").slice(0, 8)}-`;
    const tree = await CgroupTree.open(found);
    const record = join(stateDir, RECORD);
    const former: CgroupTree[] = [];
    for (const each of await tree.former(found, await readRecord(record), prefix))
      if ((await each.list()).some((name) => name.startsWith(prefix))) former.push(each);
    await writeRecord(
      record,
      [tree, ...former].map(({ path }) => path),
    );
    return new VmCgroups(tree, former, prefix);
  }

  get layout(): CgroupLayout {
    return this.#tree.layout;
  }

  async create(name: string, limits: Pick<HostLimits, "memoryBytes" | "pids">): Promise<void> {
    // A starting VM must not use a cgroup that an earlier one left elsewhere.
    if ((await this.#treeOf(name)) !== this.#tree) await this.remove(name);
    const cgroup = await this.#tree.create(this.#prefix + name);
    await cgroup.leaf(LEAF).create();
    await cgroup.apply(this.#processFiles(limits));
  }

  placement(name: string): readonly string[] {
    return this.#tree.get(this.#prefix + name).placement();
  }

  async placeVcpus(name: string, threadIds: readonly number[]): Promise<void> {
    const leaf = (await this.#get(name)).leaf(LEAF);
    // The cgroup of an earlier version of the daemon has no leaf yet.
    await leaf.create();
    await leaf.place(threadIds);
  }

  async apply(name: string, limits: HostLimits): Promise<void> {
    const { cpuset } = limits;
    const cgroup = await this.#get(name);
    const leaf = cgroup.leaf(LEAF);
    await leaf.create();
    await cgroup.apply(this.#processFiles(limits));
    await this.applyCpu(name, limits);
    // All CPUs means those of the cgroup above. Without the controller nothing can enforce a set.
    if (cpuset !== undefined || this.#tree.roots.has("cpuset"))
      await leaf.apply(cpusetFiles({ cpus: cpuset ?? (await allCpus(cgroup)) ?? null }));
  }

  async applyCpu(
    name: string,
    { cpu, cpuShares: shares }: Pick<HostLimits, "cpu" | "cpuShares">,
  ): Promise<void> {
    const { version } = this.#tree;
    const cgroup = await this.#get(name);
    await cgroup.apply(cpuFiles(version, { shares }));
    const cap = cpu === undefined ? { quotaUs: null } : { ...cpu, burstUs: cpu.quotaUs };
    await cgroup.leaf(LEAF).apply(cpuFiles(version, cap));
  }

  async limits(name: string): Promise<HostLimits> {
    const cgroup = await this.#get(name);
    const [all, vcpus] = await Promise.all([cgroup.limits(), cgroup.leaf(LEAF).limits()]);
    return {
      cpu: vcpus.cpu,
      cpuShares: all.shares ?? DEFAULT_SHARES,
      cpuset: vcpus.cpus === (await allCpus(cgroup)) ? undefined : vcpus.cpus,
      memoryBytes: all.memoryBytes ?? 0,
      pids: all.pids ?? 0,
    };
  }

  async oomKills(name: string): Promise<number> {
    return (await (await this.#get(name)).usage()).oomKills ?? 0;
  }

  async usage(name: string): Promise<CgroupFigures> {
    const cgroup = await this.#get(name);
    const [all, vcpus] = await Promise.all([cgroup.usage(), cgroup.leaf(LEAF).usage()]);
    return {
      cpuUs: (all.cpuNs ?? 0n) / 1000n,
      cpuUserUs: (all.cpuUserNs ?? 0n) / 1000n,
      cpuSystemUs: (all.cpuSystemNs ?? 0n) / 1000n,
      vcpuUs: (vcpus.cpuNs ?? 0n) / 1000n,
      periods: vcpus.periods ?? 0n,
      throttledPeriods: vcpus.throttledPeriods ?? 0n,
      throttledUs: (vcpus.throttledNs ?? 0n) / 1000n,
      memoryBytes: Math.max(0, (all.memoryBytes ?? 0) - (all.memoryCacheBytes ?? 0)),
      memoryCacheBytes: all.memoryCacheBytes ?? 0,
      memoryPeakBytes: all.memoryPeakBytes ?? 0,
      memoryMaxEvents: BigInt(all.memoryMaxEvents ?? 0),
      oomKills: BigInt(all.oomKills ?? 0),
      threads: all.pids ?? 0,
    };
  }

  async remove(name: string): Promise<void> {
    const cgroup = await this.#get(name);
    await cgroup.killAll(KILL_TIMEOUT_MS);
    await cgroup.remove();
  }

  async list(): Promise<readonly string[]> {
    const names = await Promise.all([this.#tree, ...this.#former].map((tree) => tree.list()));
    return [...new Set(names.flat())]
      .filter((name) => name.startsWith(this.#prefix))
      .map((name) => name.slice(this.#prefix.length));
  }

  async #get(name: string): Promise<Cgroup> {
    return (await this.#treeOf(name)).get(this.#prefix + name);
  }

  async #treeOf(name: string): Promise<CgroupTree> {
    for (const tree of this.#former) if (await tree.has(this.#prefix + name)) return tree;
    return this.#tree;
  }

  #processFiles({ memoryBytes, pids }: Pick<HostLimits, "memoryBytes" | "pids">) {
    return [...memoryFiles(this.#tree.version, { limitBytes: memoryBytes }), ...pidsFiles({ max: pids })];
  }
}

/** Trees that daemons of this state directory have used; none when the file cannot be read. */
async function readRecord(path: string): Promise<string[]> {
  const text = await readFile(path, "utf8").catch(() => "");
  return text.split("\n").filter((line) => line !== "");
}

/** On a full disk the previous file stays, and trees with processes are found without it. */
async function writeRecord(path: string, trees: readonly string[]): Promise<void> {
  const aside = `${path}.new`;
  await writeFile(aside, trees.map((tree) => `${tree}\n`).join(""), { mode: 0o600 })
    .then(() => rename(aside, path))
    .catch(() => undefined);
}

/** The CPUs of the cgroup itself, which limit those of its leaf. */
async function allCpus(cgroup: Cgroup): Promise<string | undefined> {
  return (await cgroup.limits()).cpus;
}
