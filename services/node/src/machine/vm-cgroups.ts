import { createHash } from "node:crypto";
import { CgroupTree, memoryFiles, pidsFiles, readHierarchy } from "@paddock/cgroups";
import type { CgroupFigures, CgroupLayout, HostLimits, SandboxCgroups } from "./machine-port.ts";

const KILL_TIMEOUT_MS = 5000;

/**
 * The VMs' cgroups of one state directory. Their names begin with a hash of that directory, so that two daemons of one host
 * (tests, mostly) do not sweep each other's.
 */
export class VmCgroups implements SandboxCgroups {
  readonly #tree: CgroupTree;
  readonly #prefix: string;
  /** Memory that the VM's process may take beyond its guest's and the declared overhead; emulation keeps translated code. */
  readonly #slackBytes: number;

  private constructor(tree: CgroupTree, prefix: string, slackBytes: number) {
    this.#tree = tree;
    this.#prefix = prefix;
    this.#slackBytes = slackBytes;
  }

  static async open(stateDir: string, slackBytes: number): Promise<VmCgroups> {
    const prefix = `${createHash("sha256").update(stateDir).digest("hex").slice(0, 8)}-`;
    return new VmCgroups(await CgroupTree.open(await readHierarchy()), prefix, slackBytes);
  }

  get layout(): CgroupLayout {
    return this.#tree.version === 1 ? "v1" : "v2";
  }

  async create(name: string, { memoryBytes, pids }: Pick<HostLimits, "memoryBytes" | "pids">): Promise<void> {
    const cgroup = await this.#tree.create(this.#prefix + name);
    const limit = memoryBytes + this.#slackBytes;
    await cgroup.apply([
      ...memoryFiles(this.#tree.version, { limitBytes: limit }),
      ...pidsFiles({ max: pids }),
    ]);
  }

  placement(name: string): readonly string[] {
    return this.#tree.get(this.#prefix + name).placement();
  }

  async placeVcpus(_name: string, _threadIds: readonly number[]): Promise<void> {
    throw new Error("vCPUs have no cgroup of their own yet");
  }

  async apply(_name: string, _limits: HostLimits): Promise<void> {
    throw new Error("limits cannot be changed yet");
  }

  async limits(_name: string): Promise<HostLimits> {
    throw new Error("limits cannot be read yet");
  }

  async oomKills(name: string): Promise<number> {
    return (await this.#tree.get(this.#prefix + name).usage()).oomKills ?? 0;
  }

  async usage(name: string): Promise<CgroupFigures> {
    const { cpuNs = 0n, memoryBytes = 0, pids = 0 } = await this.#tree.get(this.#prefix + name).usage();
    return {
      cpuUs: cpuNs / 1000n,
      cpuUserUs: 0n,
      cpuSystemUs: 0n,
      periods: 0n,
      throttledPeriods: 0n,
      throttledUs: 0n,
      memoryBytes,
      memoryPeakBytes: 0,
      memoryMaxEvents: 0n,
      oomKills: 0n,
      threads: pids,
    };
  }

  async remove(name: string): Promise<void> {
    const cgroup = this.#tree.get(this.#prefix + name);
    await cgroup.killAll(KILL_TIMEOUT_MS);
    await cgroup.remove();
  }

  async list(): Promise<readonly string[]> {
    const names = await this.#tree.list();
    return names
      .filter((name) => name.startsWith(this.#prefix))
      .map((name) => name.slice(this.#prefix.length));
  }
}
