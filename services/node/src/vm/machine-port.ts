/** What a VM needs of its host. `qemu-machine.ts` is the real machine; tests have one of their own. */
import type { VmId, VmPaths } from "./vm-paths.ts";

/** Tells one process from any other the host has had: a pid may be reused, with its start time in one boot it is not. */
export type MachineIdentity = {
  readonly pid: number;
  /** Field 22 of /proc/<pid>/stat, clock ticks since boot, as text. */
  readonly startTicks: string;
  /** /proc/sys/kernel/random/boot_id. */
  readonly bootId: string;
};

/** A raw file that the VM opens as its own user. */
export type MachineDisk = {
  readonly kind: "disk";
  /** Names it in the VM: a letter, then at most 30 letters, digits, dots, dashes and underscores. */
  readonly id: string;
  readonly path: string;
  readonly readOnly: boolean;
  /** SCSI target, 0 to 255, by which the guest finds it. */
  readonly target: number;
};

/** A network card on a tap that belongs to the VM's user. Its link is down until `setLink`. */
export type MachineInterface = {
  readonly kind: "interface";
  /** As a disk's. */
  readonly id: string;
  /** In lower case. */
  readonly mac: string;
  /** Name of the tap. */
  readonly tap: string;
  /** 0 to one less than the `interfacePorts` of the machine; one interface each. */
  readonly port: number;
};

/** What a machine can be given when it starts, and later. */
export type MachineDevice = MachineDisk | MachineInterface;

export type MachineRequest = {
  readonly paths: VmPaths;
  /** User and group of the VM's process. */
  readonly uid: number;
  readonly vcpus: number;
  readonly maxVcpus: number;
  readonly memoryBytes: number;
  /** Memory it may grow to, in bytes, at least `memoryBytes`; the same means: it never grows. */
  readonly maxMemoryBytes: number;
  /** Words that place the process in its cgroup, put before all others. */
  readonly placement: readonly string[];
  /** Ports for interfaces, cold or plugged. Each makes the boot longer. */
  readonly interfacePorts: number;
  readonly origin: MachineOrigin;
  /**
   * Its devices before the guest runs. Cold ones are on the command line, and a restored machine has the cold ones that it was saved
   * with. The others are plugged in.
   */
  readonly devices: readonly (MachineDevice & { readonly added: "cold" | "plugged" })[];
};

/** Where a machine begins. */
export type MachineOrigin =
  /** A kernel boots. With a path for its memory, a file that does not exist yet, the machine can be saved. */
  | { readonly kind: "boot"; readonly memoryPath?: string }
  /** It goes on where another was saved. Size, cold devices and ports are as they were there. */
  | { readonly kind: "restore"; readonly saved: SavedMachine };

/** A machine that was saved and ended. Any number of machines can be restored from it. */
export type SavedMachine = {
  /** Each restored machine maps it privately, and the user of its VM opens it for reading and writing. */
  readonly memoryPath: string;
  /** The state of the vCPUs and devices. Only the daemon opens it. */
  readonly statePath: string;
  /** SHA-256 of the state, in hexadecimal. */
  readonly stateDigest: string;
  /** Equal for machines that fit one state. */
  readonly layout: string;
};

/** Why a machine is no more, as far as it was seen. */
export type MachineEnd = {
  readonly cause: "vm_lost" | "host_oom" | "guest_panic" | "guest_shutdown";
  /** What was seen: exit, last lines of the serial console. Printable, at most 8 KiB. */
  readonly evidence: string;
};

/** Rates of a disk; a rate that is undefined or 0 is not limited. */
export type DiskRates = {
  readonly readBytesPerSecond?: number | undefined;
  readonly writeBytesPerSecond?: number | undefined;
  readonly readOperationsPerSecond?: number | undefined;
  readonly writeOperationsPerSecond?: number | undefined;
};

/** What a guest has taken and not given back so far. */
export type MachineSize = { readonly vcpus: number; readonly memoryBytes: number };

export interface Machine {
  readonly identity: MachineIdentity;
  /** Settles once, when the machine does nothing more; never rejects. Its process may linger until `kill`. */
  readonly ended: Promise<MachineEnd>;
  /** Plugs a device in. */
  attach(device: MachineDevice, signal: AbortSignal): Promise<void>;
  /** Unplugs a device. The guest has some seconds to release it. Succeeds when there is no such device. */
  detach(device: Pick<MachineDevice, "kind" | "id">, signal: AbortSignal): Promise<void>;
  /** Connects an interface with its tap, or disconnects it; the guest sees its carrier come or go. */
  setLink(id: string, isUp: boolean, signal: AbortSignal): Promise<void>;
  /** Memory it has now, in bytes. */
  memoryBytes(signal: AbortSignal): Promise<number>;
  /**
   * Who brings vCPUs and takes them: QEMU, which plugs them in and out (`setVcpus`), or the guest, which has all of them from
   * the start and uses as many as its agent is told.
   */
  readonly vcpuControl: "plug" | "guest";
  /** Kernel threads of its vCPUs, by their number; under emulation all share one; another set after each `setVcpus`. */
  vcpuThreads(signal: AbortSignal): Promise<readonly number[]>;
  /**
   * Holds all of its process to CPUs of the host, such as "0-3,8", vCPUs and what they need beside: a vCPU whose QEMU works for it
   * on another CPU waits for that CPU, and gets less of its own than its share.
   */
  holdTo(cpus: string, signal: AbortSignal): Promise<void>;
  /** Holds each vCPU to CPUs of the host, as lists such as "0-3,8", by the vCPU's number. Those without a list stay as they are. */
  pinVcpus(cpus: readonly string[], signal: AbortSignal): Promise<void>;
  /**
   * Plugs vCPUs in, or asks the guest to give some back, until it has `vcpus`, 1 to its maximum. Those of its start stay.
   * Settles when the guest has done so, or has been given enough time: the answer is how many it has. Changes nothing where the
   * guest has the control.
   */
  setVcpus(vcpus: number, signal: AbortSignal): Promise<number>;
  /**
   * Asks the guest to take more memory or to give some back, in one step, until it has `memoryBytes`, from what it started with
   * to its maximum. Settles when the guest has done so, or has been given enough time: the answer is how much it has.
   * A guest goes on giving back what it could not give at once; `onResized` tells.
   */
  setMemory(memoryBytes: number, signal: AbortSignal): Promise<number>;
  /** Called after the guest has taken or given back memory or a vCPU by itself, later than asked. One listener. */
  onResized: () => void;
  /** Whether it stands still because the disk of its host is full. It goes on by itself, with nothing lost, once there is room. */
  readonly isHeld: boolean;
  /** Called when that begins and ends. One listener. */
  onHeld: () => void;
  /** Limits a disk in QEMU, whatever the guest does. Needs no guest. */
  limitDisk(id: string, rates: DiskRates, signal: AbortSignal): Promise<void>;
  pause(signal: AbortSignal): Promise<void>;
  resume(signal: AbortSignal): Promise<void>;
  /** The last of what its serial console said, printable, at most 8 KiB; empty when it cannot be asked. */
  serialTail(): Promise<string>;
  /**
   * Stops it, writes its state to the file `statePath`, and ends it. When that fails it runs on. What was plugged in has to be
   * unplugged before: a machine with its cold devices alone could not be restored from the state.
   */
  save(statePath: string, signal: AbortSignal): Promise<SavedMachine>;
  /** Ends its process and waits until it is gone. Succeeds when it is gone already. */
  kill(signal: AbortSignal): Promise<void>;
  /** Lets go of it and leaves it running. */
  release(): void;
}

export interface MachineHost {
  /**
   * Starts a machine. On failure no process is left. A saved machine that does not fit the request is refused with VM_UNAVAILABLE, one
   * whose files have changed with DIGEST_MISMATCH.
   */
  start(request: MachineRequest, signal: AbortSignal): Promise<Machine>;
  /** Takes over a machine that an earlier daemon started; undefined when that process is gone or another one. */
  adopt(
    identity: MachineIdentity,
    request: Pick<MachineRequest, "paths" | "uid">,
    signal: AbortSignal,
  ): Promise<Machine | undefined>;
  /** Ends whatever process was started for these paths, known or not, and waits until it is gone. */
  killStrays(paths: VmPaths, signal: AbortSignal): Promise<void>;
  /** VMs that some machine's process runs for. */
  running(): Promise<readonly VmId[]>;
}

/** What the host's kernel counted; a figure that it does not count is 0. */
export type CgroupFigures = {
  readonly cpuUs: bigint;
  readonly cpuUserUs: bigint;
  readonly cpuSystemUs: bigint;
  /** Of the vCPU threads alone; a part of `cpuUs`. */
  readonly vcpuUs: bigint;
  /** Of the vCPUs, as those alone have a cap. */
  readonly periods: bigint;
  readonly throttledPeriods: bigint;
  readonly throttledUs: bigint;
  /** Without what the host's kernel takes back when others need it, such as its page cache of the VM's disks. */
  readonly memoryBytes: number;
  readonly memoryCacheBytes: number;
  /** Of both together. */
  readonly memoryPeakBytes: number;
  readonly memoryMaxEvents: bigint;
  readonly oomKills: bigint;
  readonly threads: number;
};

/** What a sandbox may take of its host. */
export type HostLimits = {
  /** CPU time of all vCPUs together; undefined means no cap. */
  readonly cpu: { readonly quotaUs: number; readonly periodUs: number } | undefined;
  /** Relative share of a contended CPU, 2 to 262144. */
  readonly cpuShares: number;
  /** CPUs of the host for the vCPUs, such as "0-3,8"; undefined means all. */
  readonly cpuset: string | undefined;
  /** Of the VM's process, in bytes, the machine's overhead included. */
  readonly memoryBytes: number;
  /** Processes and threads. */
  readonly pids: number;
};

export type CgroupLayout = "v1" | "hybrid" | "v2";

/** The cgroups of VMs, by the id of the VM. */
export interface MachineCgroups {
  readonly layout: CgroupLayout;
  /** Makes it, limited in memory and pids; succeeds when it exists. No CPU cap yet: that would starve the start of the VM. */
  create(name: string, limits: Pick<HostLimits, "memoryBytes" | "pids">): Promise<void>;
  /** Words to put before a command, so that its process is in the cgroup before it executes. */
  placement(name: string): readonly string[];
  /** Puts threads of the VM's process where the CPU limits are. Threads that are gone meanwhile, or there already, are no error. */
  placeVcpus(name: string, threadIds: readonly number[]): Promise<void>;
  /** Writes all limits. Safe to repeat; a cap that is undefined is lifted. */
  apply(name: string, limits: HostLimits): Promise<void>;
  /** The cap and the shares alone; the other limits stay. */
  applyCpu(name: string, limits: Pick<HostLimits, "cpu" | "cpuShares">): Promise<void>;
  /** The limits as the kernel has them. */
  limits(name: string): Promise<HostLimits>;
  /** OOM kills of the host in it. */
  oomKills(name: string): Promise<number>;
  /** What its processes have used. */
  usage(name: string): Promise<CgroupFigures>;
  /** Succeeds when there is none. */
  remove(name: string, signal: AbortSignal): Promise<void>;
  /** Names of all that exist. */
  list(): Promise<readonly string[]>;
}
