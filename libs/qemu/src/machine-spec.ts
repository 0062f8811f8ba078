/**
 * A virtual machine, described as data.
 *
 * A spec has everything that defines the machine and nothing about its owner. `command-line.ts` turns it into arguments and depends
 * on nothing else, so equal specs give equal machines, and a hash of the spec can identify a template.
 */

export type Accelerator = "kvm" | "tcg";

/** Where the guest's memory lives. */
export type MemoryBacking =
  /** Anonymous memory of the QEMU process. */
  | { readonly kind: "anonymous" }
  /** Anonymous memory that servers of shares map, too. */
  | { readonly kind: "shared" }
  /** A file, mapped shared, so that writes reach it: used to create a template. */
  | { readonly kind: "file-shared"; readonly path: string }
  /** A file, mapped copy-on-write: used to restore a sandbox. The file never changes. */
  | { readonly kind: "file-private"; readonly path: string };

export interface MemorySpec {
  /** Memory at boot, a multiple of 1 MiB. */
  readonly bytes: number;
  /** Maximum memory, in bytes. At or below `bytes`, the memory never grows. */
  readonly maxBytes: number;
  readonly backing: MemoryBacking;
}

/** A raw image. QEMU opens it, so QEMU's user needs read (and write) access. */
export interface DiskSpec {
  readonly kind: "disk";
  /** Names the disk in QEMU, and is the serial number that the guest sees: `[a-zA-Z][a-zA-Z0-9_.-]{0,30}`. */
  readonly id: string;
  readonly path: string;
  readonly readOnly: boolean;
  /** SCSI target, 0 to 255, visible to the guest. */
  readonly target: number;
  /** Whether `path` is the device file of a block device, and not a regular file. */
  readonly isBlockDevice?: boolean;
}

/** A virtio network card. */
export interface InterfaceSpec {
  readonly kind: "interface";
  readonly id: string;
  readonly mac: string;
  /** A tap device that belongs to QEMU's user, in QEMU's network namespace. */
  readonly tap: string;
  /**
   * Root port of the card, 0 to `hotplugPorts - 1`; a card behind a root port can be unplugged. Undefined means on the root
   * bus, for the lifetime of the machine and without the boot time of a port; only one card fits there.
   */
  readonly port?: number | undefined;
}

/**
 * A directory of the host, served by a vhost-user file system server (virtiofsd). The server maps the guest's memory, so the
 * machine needs memory of kind `shared`. QEMU cannot save the state of such a machine.
 */
export interface ShareSpec {
  readonly kind: "share";
  readonly id: string;
  /** Names the share in the guest: `[a-zA-Z][a-zA-Z0-9_.-]{0,30}`. */
  readonly tag: string;
  /** The server's listening unix socket. QEMU's user needs write access. */
  readonly socket: string;
  /** Place on the root bus, 0 to 7; a machine has one share at each. */
  readonly place: number;
}

/** A device that can be plugged into a running machine. */
export type PluggedSpec = DiskSpec | InterfaceSpec;

export type DeviceSpec = PluggedSpec | ShareSpec;

export interface MachineSpec {
  /** Shown in the process list; begins with a letter, a digit or a slash. */
  readonly name: string;
  readonly accelerator: Accelerator;
  /** Value of `-cpu`, for example `host`, `host,arch-capabilities=off` or `max`; see `prove-accelerator.ts`. */
  readonly cpuModel: string;
  /** vCPUs at boot, at least 1. */
  readonly vcpus: number;
  /** Maximum number of vCPUs, with those plugged in later. */
  readonly maxVcpus: number;
  readonly memory: MemorySpec;
  /** ELF vmlinux (entered by PVH) or bzImage. */
  readonly kernel: string;
  readonly initramfs: string;
  /** Kernel command line; see `kernelCommandLine`. */
  readonly cmdline: string;
  /** Listening unix socket of the monitor, as a descriptor that QEMU inherits; see `listening-socket.ts`. */
  readonly qmpFd: number;
  /** Listening socket, connected to the guest's port `agentPort`; also an inherited descriptor. */
  readonly agentFd: number;
  /** Name of the virtio-serial port in the guest. */
  readonly agentPort: string;
  /** Size of the serial ring, in bytes; a power of two. */
  readonly serialRingBytes: number;
  /** Listening socket of the second serial port, an inherited descriptor; see `SerialReader`. */
  readonly serialFd: number;
  /** Rate limit of the guest's entropy from the host. */
  readonly entropy: { readonly maxBytes: number; readonly periodMs: number };
  /** Devices that the machine has from its start. Others are plugged in later; see `devices.ts`. */
  readonly devices: readonly DeviceSpec[];
  /** Number of PCI Express root ports for network cards. q35 does not support hot-plug on the root bus. */
  readonly hotplugPorts: number;
  /** A machine boots, or is restored from a device state (`Monitor.loadState`). Both wait for `Monitor.resume`. */
  readonly start: "boot" | "restore";
}

/** Ids of devices that other code refers to. */
export const SCSI_CONTROLLER = "scsi0";
export const SERIAL_RING = "serial0";
/** Limit on translated code under emulation, which is host memory in addition to the guest's, in bytes. */
export const EMULATION_CODE_BYTES = 256 * 1024 * 1024;
/** Block size of plugged memory, in bytes. Requests are rounded up to whole blocks. */
export const MEMORY_BLOCK_BYTES = 2 * 1024 * 1024;
export const MEMORY_DEVICE = "memory1";
