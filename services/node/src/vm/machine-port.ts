/** The operations on virtual machines that the node needs. `qemu-machine.ts` is the real machine; tests have a fake one. */
import type { VmId, VmPaths } from "./vm-paths.ts";

/** Identifies a process on the host: pids are reused, but not with the same start time in one boot. */
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
  /** Whether `path` is the device file of a block device. */
  readonly isBlockDevice?: boolean;
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
  /**
   * 0 to one less than the `interfacePorts` of the machine; one interface each. Undefined: a cold interface that is never unplugged;
   * a machine has one at most.
   */
  readonly port?: number | undefined;
};

/** A directory of the host. A machine with shares cannot be saved, and no saved machine has one. */
export type MachineShare = {
  readonly kind: "share";
  /** As a disk's. */
  readonly id: string;
  /** Names it in the guest. */
  readonly tag: string;
  /** Where its server listens; the VM's user can connect. */
  readonly socket: string;
  /** 0 to 7; one share each. */
  readonly place: number;
};

/** A device of a machine, from its start or added later. */
export type MachineDevice = MachineDisk | MachineInterface;

export type MachineRequest = {
  readonly paths: VmPaths;
  /** User and group of the VM's process. */
  readonly uid: number;
  readonly vcpus: number;
  readonly maxVcpus: number;
  readonly memoryBytes: number;
  /** Memory it may grow to, in bytes, at least `memoryBytes`; equal means that it never grows. */
  readonly maxMemoryBytes: number;
  /** Command prefix that places the process in its cgroup. */
  readonly placement: readonly string[];
  /** Ports for interfaces that can be unplugged, cold or plugged. Each makes the boot longer. */
  readonly interfacePorts: number;
  readonly origin: MachineOrigin;
  /**
   * Devices that the machine has before the guest runs. Cold ones are on the command line, and a restored machine needs the
   * cold ones of the saved one. The others are plugged in.
   */
  readonly devices: readonly (
    | (MachineDevice & { readonly added: "cold" | "plugged" })
    | (MachineShare & { readonly added: "cold" })
  )[];
};

/** How a machine begins. */
export type MachineOrigin =
  /** Boots a kernel. With a path for its memory, a file that does not exist yet, the machine can be saved. */
  | { readonly kind: "boot"; readonly memoryPath?: string }
  /** Continues a saved machine. Size, cold devices and ports must be the same. */
  | { readonly kind: "restore"; readonly saved: SavedMachine };

/** A machine that was saved and ended. Any number of machines can be restored from it. */
export type SavedMachine = {
  /** Each restored machine maps it privately, and the user of its VM opens it for reading and writing. */
  readonly memoryPath: string;
  /** The state of the vCPUs and devices. Only the daemon opens it. */
  readonly statePath: string;
  /** SHA-256 of the state, in hexadecimal. */
  readonly stateDigest: string;
  /** Equal for machines that can load the same state. */
  readonly layout: string;
};

/** Why a machine has ended, as far as known. */
export type MachineEnd = {
  readonly cause: "vm_lost" | "host_oom" | "guest_panic" | "guest_shutdown";
  /** Evidence: exit, last lines of the serial console. Printable, at most 8 KiB. */
  readonly evidence: string;
};

/** Rates of a disk; undefined or 0 means no limit. */
export type DiskRates = {
  readonly readBytesPerSecond?: number | undefined;
  readonly writeBytesPerSecond?: number | undefined;
  readonly readOperationsPerSecond?: number | undefined;
  readonly writeOperationsPerSecond?: number | undefined;
};

/** The vCPUs and memory that the guest has now. */
export type MachineSize = { readonly vcpus: number; readonly memoryBytes: number };

export interface Machine {
  readonly identity: MachineIdentity;
  /** Settles once, when the machine has ended; never rejects. Its process may exist until `kill`. */
  readonly ended: Promise<MachineEnd>;
  /** Plugs in a device. */
  attach(device: MachineDevice, signal: AbortSignal): Promise<void>;
  /** Unplugs a device. The guest has some seconds to release it. Succeeds when there is no such device. */
  detach(device: Pick<MachineDevice, "kind" | "id">, signal: AbortSignal): Promise<void>;
  /** Connects or disconnects an interface and its tap; the guest sees the carrier change. */
  setLink(id: string, isUp: boolean, signal: AbortSignal): Promise<void>;
  /** Current memory, in bytes. */
  memoryBytes(signal: AbortSignal): Promise<number>;
  /**
   * Whether QEMU plugs vCPUs in and out (`setVcpus`), or the guest has all of them from the start and uses the number that its
   * agent is told.
   */
  readonly vcpuControl: "plug" | "guest";
  /** Kernel thread ids of its vCPUs, by vCPU number. Under emulation all share one. `setVcpus` changes the list. */
  vcpuThreads(signal: AbortSignal): Promise<readonly number[]>;
  /**
   * Pins the whole process to CPUs of the host, such as "0-3,8": the vCPUs and QEMU's other threads. A vCPU whose QEMU works
   * for it on another CPU waits for that CPU, and gets less of its own than its share.
   */
  pinProcess(cpus: string, signal: AbortSignal): Promise<void>;
  /** Pins each vCPU to CPUs of the host, as lists such as "0-3,8", by vCPU number. vCPUs without a list are not changed. */
  pinVcpus(cpus: readonly string[], signal: AbortSignal): Promise<void>;
  /**
   * Plugs in vCPUs, or asks the guest to release some, until there are `vcpus`, 1 to the maximum. vCPUs present at the start
   * stay. Settles when the guest has done so or its time is over, with the actual number. Changes nothing where the guest
   * controls its vCPUs.
   */
  setVcpus(vcpus: number, signal: AbortSignal): Promise<number>;
  /**
   * Asks the guest to plug or release memory, in one step, until it has `memoryBytes`, between the boot size and the maximum.
   * Settles when the guest has done so or its time is over, with the actual size. Later the guest continues to release what it
   * could not release at once; `onResized` reports that.
   */
  setMemory(memoryBytes: number, signal: AbortSignal): Promise<number>;
  /** Called after the guest has plugged or released memory or a vCPU without or after a request. One listener. */
  onResized: () => void;
  /** Whether it is suspended because its host's disk is full. It continues by itself, with nothing lost, once there is room. */
  readonly isHeld: boolean;
  /** Called when a suspension begins and ends. One listener. */
  onHeld: () => void;
  /** Tells a disk that can be written the new size of its file, in bytes, which must not be smaller. The guest is told. */
  resizeDisk(id: string, bytes: number, signal: AbortSignal): Promise<void>;
  /** Limits a disk in QEMU, regardless of the guest. */
  limitDisk(id: string, rates: DiskRates, signal: AbortSignal): Promise<void>;
  pause(signal: AbortSignal): Promise<void>;
  resume(signal: AbortSignal): Promise<void>;
  /** The end of its serial console, printable, at most 8 KiB; empty when it cannot be read. */
  serialTail(): Promise<string>;
  /**
   * Pauses it, writes its state to the file `statePath`, and ends it. On failure it continues to run. Plugged devices must be
   * unplugged first: a machine with only the cold devices could not load the state.
   */
  save(statePath: string, signal: AbortSignal): Promise<SavedMachine>;
  /** Ends its process and waits for the end. Succeeds when it has ended already. */
  kill(signal: AbortSignal): Promise<void>;
  /** Detaches from it; the process keeps running. */
  release(): void;
}

export interface MachineHost {
  /**
   * Starts a machine. On failure no process is left. A saved machine that does not fit the request is refused with
   * VM_UNAVAILABLE, one whose files have changed with DIGEST_MISMATCH.
   */
  start(request: MachineRequest, signal: AbortSignal): Promise<Machine>;
  /** Takes over a machine that an earlier daemon started; undefined when that process has ended or its pid was reused. */
  adopt(
    identity: MachineIdentity,
    request: Pick<MachineRequest, "paths" | "uid">,
    signal: AbortSignal,
  ): Promise<Machine | undefined>;
  /** Ends every process that was started for these paths, known or not, and waits for its end. */
  killStrays(paths: VmPaths, signal: AbortSignal): Promise<void>;
  /** VMs with a running process. */
  running(): Promise<readonly VmId[]>;
}

/** Figures of the host's kernel; 0 when it does not count them. */
export type CgroupFigures = {
  readonly cpuUs: bigint;
  readonly cpuUserUs: bigint;
  readonly cpuSystemUs: bigint;
  /** Of the vCPU threads only; a part of `cpuUs`. */
  readonly vcpuUs: bigint;
  /** Of the vCPUs, because only they have a cap. */
  readonly periods: bigint;
  readonly throttledPeriods: bigint;
  readonly throttledUs: bigint;
  /** Without memory that the host's kernel can reclaim, such as the page cache of the VM's disks. */
  readonly memoryBytes: number;
  readonly memoryCacheBytes: number;
  /** Peak of the sum of both. */
  readonly memoryPeakBytes: number;
  readonly memoryMaxEvents: bigint;
  readonly oomKills: bigint;
  readonly threads: number;
};

/** Limits of a sandbox on its host. */
export type HostLimits = {
  /** CPU time of all vCPUs together; undefined means no cap. */
  readonly cpu: { readonly quotaUs: number; readonly periodUs: number } | undefined;
  /** Relative share of a contended CPU, 2 to 262144. */
  readonly cpuShares: number;
  /** CPUs of the host for the vCPUs, such as "0-3,8"; undefined means all. */
  readonly cpuset: string | undefined;
  /** Of the VM's process, in bytes, including the machine's overhead. */
  readonly memoryBytes: number;
  /** Processes and threads. */
  readonly pids: number;
};

export type CgroupLayout = "v1" | "hybrid" | "v2";

/** The cgroups of VMs, by VM id. */
export interface MachineCgroups {
  readonly layout: CgroupLayout;
  /**
   * Creates the cgroup with limits on memory and pids; succeeds when it exists. No CPU cap yet: that would starve the start of
   * the VM.
   */
  create(name: string, limits: Pick<HostLimits, "memoryBytes" | "pids">): Promise<void>;
  /** Command prefix that places a process in the cgroup before it executes. */
  placement(name: string): readonly string[];
  /**
   * Moves threads of the VM's process to the leaf with the CPU limits. Threads that have ended or are there already are
   * skipped.
   */
  placeVcpus(name: string, threadIds: readonly number[]): Promise<void>;
  /** Writes all limits. Idempotent; an undefined cap is lifted. */
  apply(name: string, limits: HostLimits): Promise<void>;
  /** Writes only the cap and the shares; the other limits do not change. */
  applyCpu(name: string, limits: Pick<HostLimits, "cpu" | "cpuShares">): Promise<void>;
  /** The limits, read back from the kernel. */
  limits(name: string): Promise<HostLimits>;
  /** OOM kills by the host in the cgroup. */
  oomKills(name: string): Promise<number>;
  /** The use of resources by its processes. */
  usage(name: string): Promise<CgroupFigures>;
  /** Succeeds when it does not exist. */
  remove(name: string, signal: AbortSignal): Promise<void>;
  /** Names of all existing cgroups. */
  list(): Promise<readonly string[]>;
}
