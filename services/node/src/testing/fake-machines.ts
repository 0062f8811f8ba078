/** Machines and cgroups in memory, for tests of their callers. Like the real ones, they outlive a daemon. */
import { createHash } from "node:crypto";
import { truncate, writeFile } from "node:fs/promises";
import { PaddockError } from "@paddock/domain";
import { MEMORY_BLOCK_BYTES, QemuError } from "@paddock/qemu";
import type {
  CgroupFigures,
  DiskRates,
  HostLimits,
  Machine,
  MachineCgroups,
  MachineDevice,
  MachineEnd,
  MachineHost,
  MachineIdentity,
  MachineRequest,
  MachineShare,
} from "../vm/machine-port.ts";
import { openState } from "../vm/saved-machine.ts";
import type { VmId, VmPaths } from "../vm/vm-paths.ts";

type Process = {
  readonly identity: MachineIdentity;
  readonly id: VmId;
  readonly request: MachineRequest;
  readonly devices: Map<string, MachineDevice | MachineShare>;
  /** Interfaces whose link is up. */
  readonly linksUp: Set<string>;
  /** The content of the guest's memory. */
  readonly memory: Set<string>;
  readonly end: PromiseWithResolvers<MachineEnd>;
  readonly rates: Map<string, DiskRates>;
  /** New sizes of disks that were resized. */
  readonly diskBytes: Map<string, number>;
  /** The machine object of the present daemon. */
  machine: Machine | undefined;
  /** The host CPUs of each vCPU; undefined when none was ever pinned. */
  pins: readonly string[] | undefined;
  /** The host CPUs of the whole process; undefined when it was never pinned. */
  pinnedTo: string | undefined;
  paused: boolean;
  held: boolean;
  vcpus: number;
  memoryBytes: number;
};

export class FakeMachines implements MachineHost {
  readonly processes = new Map<number, Process>();
  /** Called before a machine is started; may throw or never settle. */
  onStart: (request: MachineRequest) => Promise<void> = async () => undefined;
  /** The same before a machine is taken over. */
  onAdopt: () => Promise<void> = async () => undefined;
  /** The same before a device is plugged in. */
  onAttach: (device: MachineDevice) => Promise<void> = async () => undefined;
  /** The same before a device is unplugged. */
  onDetach: () => Promise<void> = async () => undefined;
  /** For machines started or taken over from now on. */
  vcpuControl: Machine["vcpuControl"] = "plug";
  /** The guest's reaction to a requested number of vCPUs, and to requested memory. */
  onSetVcpus: (vcpus: number) => Promise<number> = async (vcpus) => vcpus;
  onSetMemory: (memoryBytes: number) => Promise<number> = async (memoryBytes) => memoryBytes;
  readonly #bootId: string;
  #nextPid = 100;

  constructor(bootId: string) {
    this.#bootId = bootId;
  }

  async start(request: MachineRequest): Promise<Machine> {
    const memory = await memoryOf(request);
    const pid = this.#nextPid++;
    const identity = { pid, startTicks: String(pid), bootId: this.#bootId };
    const process: Process = {
      identity,
      id: request.paths.id,
      request,
      devices: new Map<string, MachineDevice | MachineShare>(
        request.devices.map((device) => [device.id, device]),
      ),
      linksUp: new Set(),
      memory,
      end: Promise.withResolvers(),
      rates: new Map(),
      diskBytes: new Map(),
      machine: undefined,
      pinnedTo: undefined,
      pins: undefined,
      paused: false,
      held: false,
      vcpus: this.vcpuControl === "guest" ? request.maxVcpus : request.vcpus,
      memoryBytes: request.memoryBytes,
    };
    // As with QEMU, the process exists before its monitor answers.
    this.processes.set(pid, process);
    await this.onStart(request);
    return this.#machine(process);
  }

  async adopt(identity: MachineIdentity): Promise<Machine | undefined> {
    const process = this.processes.get(identity.pid);
    if (process !== undefined) await this.onAdopt();
    return process?.identity.startTicks === identity.startTicks ? this.#machine(process) : undefined;
  }

  async killStrays({ id: ended }: VmPaths): Promise<void> {
    for (const [pid, { id }] of this.processes) if (id === ended) this.lose(pid, "vm_lost");
  }

  async running(): Promise<readonly VmId[]> {
    return [...this.processes.values()].map(({ id }) => id);
  }

  /** Ends a process, like a crash. */
  lose(pid: number, cause: MachineEnd["cause"], evidence = "it is gone"): void {
    const process = this.processes.get(pid);
    this.processes.delete(pid);
    process?.end.resolve({ cause, evidence });
  }

  /** Called for the only machine: its guest has plugged or unplugged something on its own. */
  resized(): void {
    this.only.machine?.onResized();
  }

  /** Called for the only machine: its host's disk is full, or has room again. */
  hold(isHeld: boolean): void {
    this.only.held = isHeld;
    this.only.machine?.onHeld();
  }

  /** The only process. */
  get only(): Process {
    const [process, ...others] = [...this.processes.values()];
    if (process === undefined || others.length > 0)
      throw new Error(`there are ${this.processes.size} machines`);
    return process;
  }

  #machine(process: Process): Machine {
    const { identity, devices, linksUp, end, rates } = process;
    const requireDevice = (kind: MachineDevice["kind"], id: string) => {
      if (devices.get(id)?.kind !== kind) throw new QemuError("qmp-refused", `there is no ${kind} ${id}`);
    };
    process.machine = {
      identity,
      ended: end.promise,
      get isHeld() {
        return process.held;
      },
      onHeld: () => undefined,
      attach: async (device) => {
        await this.onAttach(device);
        const isTaken = ({ kind, id, ...at }: MachineDevice | MachineShare) =>
          id === device.id ||
          ("port" in at && "port" in device && at.port !== undefined && at.port === device.port);
        if ([...devices.values()].some(isTaken))
          throw new QemuError("qmp-refused", `the id or the port of ${device.id} is taken`);
        devices.set(device.id, device);
      },
      detach: async ({ id }) => {
        await this.onDetach();
        devices.delete(id);
        linksUp.delete(id);
      },
      setLink: async (id, isUp) => {
        requireDevice("interface", id);
        if (isUp) linksUp.add(id);
        else linksUp.delete(id);
      },
      vcpuControl: this.vcpuControl,
      memoryBytes: async () => process.memoryBytes,
      vcpuThreads: async () =>
        Array.from({ length: process.vcpus }, (_, index) => identity.pid * 1000 + index),
      pinProcess: async (cpus) => {
        process.pinnedTo = cpus;
      },
      pinVcpus: async (cpus) => {
        process.pins = cpus;
      },
      setVcpus: async (vcpus) => {
        const { request } = process;
        if (this.vcpuControl === "guest") return process.vcpus;
        const within = Math.min(Math.max(vcpus, request.vcpus), request.maxVcpus);
        process.vcpus = await this.onSetVcpus(within);
        return process.vcpus;
      },
      setMemory: async (memoryBytes) => {
        const { request } = process;
        const whole = request.memoryBytes + ceilToBlock(memoryBytes - request.memoryBytes);
        const within = Math.min(Math.max(whole, request.memoryBytes), request.maxMemoryBytes);
        process.memoryBytes = await this.onSetMemory(within);
        return process.memoryBytes;
      },
      onResized: () => undefined,
      resizeDisk: async (id, bytes) => {
        requireDevice("disk", id);
        process.diskBytes.set(id, bytes);
      },
      limitDisk: async (id, limits) => {
        requireDevice("disk", id);
        rates.set(id, limits);
      },
      pause: async () => {
        process.paused = true;
      },
      resume: async () => {
        process.paused = false;
      },
      serialTail: async () => "the console",
      save: async (statePath) => {
        const { request, memory } = process;
        if (request.origin.kind === "restore" || request.origin.memoryPath === undefined)
          throw new Error("the machine was started without a file for its memory");
        const { memoryPath } = request.origin;
        const state = JSON.stringify([...memory]);
        await writeFile(statePath, state);
        this.lose(identity.pid, "vm_lost");
        const stateDigest = createHash("sha256").update(state).digest("hex");
        return { memoryPath, statePath, stateDigest, layout: layoutOf(request) };
      },
      kill: async () => this.lose(identity.pid, "vm_lost"),
      release: () => undefined,
    };
    return process.machine;
  }
}

/** The content of the guest's memory at its start. */
async function memoryOf(request: MachineRequest): Promise<Set<string>> {
  const { origin, memoryBytes } = request;
  if (origin.kind === "restore") {
    await using state = await openState(origin.saved, { layout: layoutOf(request), memoryBytes });
    return restoredMemory(await state.readFile("utf8"));
  }
  if (origin.memoryPath !== undefined) {
    await writeFile(origin.memoryPath, "", { flag: "wx" });
    await truncate(origin.memoryPath, memoryBytes);
  }
  return new Set();
}

function restoredMemory(state: string): Set<string> {
  try {
    return new Set<string>(JSON.parse(state));
  } catch (cause) {
    throw new PaddockError("VM_UNAVAILABLE", "the state is not a machine's state", { cause });
  }
}

function layoutOf({ vcpus, maxVcpus, memoryBytes, maxMemoryBytes, interfacePorts, devices }: MachineRequest) {
  const cold = devices.filter(({ added }) => added === "cold").map(({ kind, id }) => [kind, id]);
  return JSON.stringify([vcpus, maxVcpus, memoryBytes, maxMemoryBytes, interfacePorts, cold]);
}

const ceilToBlock = (bytes: number): number => Math.ceil(bytes / MEMORY_BLOCK_BYTES) * MEMORY_BLOCK_BYTES;

/** No use of resources. */
export const NO_FIGURES: CgroupFigures = {
  cpuUs: 0n,
  cpuUserUs: 0n,
  cpuSystemUs: 0n,
  vcpuUs: 0n,
  periods: 0n,
  throttledPeriods: 0n,
  throttledUs: 0n,
  memoryBytes: 0,
  memoryCacheBytes: 0,
  memoryPeakBytes: 0,
  memoryMaxEvents: 0n,
  oomKills: 0n,
  threads: 0,
};

export class FakeCgroups implements MachineCgroups {
  readonly layout = "v2";
  readonly names = new Set<string>();
  /** The limits of each cgroup, and the threads that were placed in it. */
  readonly limitsOf = new Map<string, HostLimits>();
  readonly threadsOf = new Map<string, readonly number[]>();
  onCreate: () => Promise<void> = async () => undefined;
  onApply: (limits: HostLimits) => Promise<void> = async () => undefined;
  /** Called when limits are applied. */
  onApplied: () => void = () => undefined;

  async create(name: string, { memoryBytes, pids }: Pick<HostLimits, "memoryBytes" | "pids">): Promise<void> {
    this.names.add(name);
    this.limitsOf.set(name, { cpu: undefined, cpuShares: 1024, cpuset: undefined, memoryBytes, pids });
    await this.onCreate();
  }

  placement(): readonly string[] {
    return [];
  }

  async placeVcpus(name: string, threadIds: readonly number[]): Promise<void> {
    this.threadsOf.set(name, threadIds);
  }

  async apply(name: string, limits: HostLimits): Promise<void> {
    await this.onApply(limits);
    this.limitsOf.set(name, limits);
    this.onApplied();
  }

  async applyCpu(name: string, limits: Pick<HostLimits, "cpu" | "cpuShares">): Promise<void> {
    const { cpu, cpuShares } = limits;
    this.limitsOf.set(name, { ...(await this.limits(name)), cpu, cpuShares });
    this.onApplied();
  }

  async limits(name: string): Promise<HostLimits> {
    const limits = this.limitsOf.get(name);
    if (limits === undefined) throw new Error(`there is no cgroup ${name}`);
    return limits;
  }

  async oomKills(): Promise<number> {
    return 0;
  }

  async usage(): Promise<CgroupFigures> {
    return NO_FIGURES;
  }

  async remove(name: string): Promise<void> {
    this.names.delete(name);
    this.limitsOf.delete(name);
    this.threadsOf.delete(name);
  }

  async list(): Promise<readonly string[]> {
    return [...this.names];
  }
}
