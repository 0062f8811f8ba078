/** Machines and cgroups that exist in memory, for tests of what is done with them. They outlive a daemon, as the real ones do. */
import type {
  CgroupFigures,
  Machine,
  MachineDisk,
  MachineEnd,
  MachineHost,
  MachineRequest,
  SandboxCgroups,
} from "../machine/machine-port.ts";
import type { SandboxPaths } from "../sandboxes/sandbox-paths.ts";
import type { MachineIdentity } from "../sandboxes/sandbox-record.ts";

type Process = {
  readonly identity: MachineIdentity;
  readonly dir: string;
  readonly request: MachineRequest;
  readonly disks: Map<string, MachineDisk>;
  readonly end: PromiseWithResolvers<MachineEnd>;
  paused: boolean;
};

export class FakeMachines implements MachineHost {
  readonly processes = new Map<number, Process>();
  /** Called when a machine is about to be started; may throw or never settle. */
  onStart: (request: MachineRequest) => Promise<void> = async () => undefined;
  /** The same for a disk that is about to be plugged in. */
  onAttachDisk: (disk: MachineDisk) => Promise<void> = async () => undefined;
  readonly #bootId: string;
  #nextPid = 100;

  constructor(bootId: string) {
    this.#bootId = bootId;
  }

  async start(request: MachineRequest): Promise<Machine> {
    const pid = this.#nextPid++;
    const identity = { pid, startTicks: String(pid), bootId: this.#bootId };
    const process: Process = {
      identity,
      dir: request.paths.dir,
      request,
      disks: new Map(request.disks.map((disk) => [disk.id, disk])),
      end: Promise.withResolvers(),
      paused: false,
    };
    // The process is there before its monitor answers, as with QEMU.
    this.processes.set(pid, process);
    await this.onStart(request);
    return this.#machine(process);
  }

  async adopt(identity: MachineIdentity): Promise<Machine | undefined> {
    const process = this.processes.get(identity.pid);
    return process?.identity.startTicks === identity.startTicks ? this.#machine(process) : undefined;
  }

  async killStrays(paths: SandboxPaths): Promise<void> {
    for (const [pid, { dir }] of this.processes) if (dir === paths.dir) this.lose(pid, "vm_lost");
  }

  async running(): Promise<readonly string[]> {
    return [...this.processes.values()].map(({ dir }) => dir);
  }

  /** Ends a process, as a crash would. */
  lose(pid: number, cause: MachineEnd["cause"], evidence = "it is gone"): void {
    const process = this.processes.get(pid);
    this.processes.delete(pid);
    process?.end.resolve({ cause, evidence });
  }

  /** The one process there is. */
  get only(): Process {
    const [process, ...others] = [...this.processes.values()];
    if (process === undefined || others.length > 0)
      throw new Error(`there are ${this.processes.size} machines`);
    return process;
  }

  #machine(process: Process): Machine {
    const { identity, disks, end } = process;
    return {
      identity,
      ended: end.promise,
      attachDisk: async (disk) => {
        await this.onAttachDisk(disk);
        disks.set(disk.id, disk);
      },
      detachDisk: async (id) => void disks.delete(id),
      pause: async () => {
        process.paused = true;
      },
      resume: async () => {
        process.paused = false;
      },
      serialTail: async () => "the console",
      kill: async () => this.lose(identity.pid, "vm_lost"),
      release: () => undefined,
    };
  }
}

export class FakeCgroups implements SandboxCgroups {
  readonly names = new Set<string>();
  onCreate: () => Promise<void> = async () => undefined;

  async create(name: string): Promise<void> {
    this.names.add(name);
    await this.onCreate();
  }

  placement(): readonly string[] {
    return [];
  }

  async oomKills(): Promise<number> {
    return 0;
  }

  async usage(): Promise<CgroupFigures> {
    return { cpuUs: 0n, memoryBytes: 0, threads: 0 };
  }

  async remove(name: string): Promise<void> {
    this.names.delete(name);
  }

  async list(): Promise<readonly string[]> {
    return [...this.names];
  }
}
