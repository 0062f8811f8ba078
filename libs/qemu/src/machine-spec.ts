/**
 * What a virtual machine is, as data.
 *
 * A spec holds everything that shapes the machine and nothing about who asked for it. `command-line.ts` turns
 * it into arguments and does nothing else, so two machines with equal specs are equal machines; a hash of
 * the spec can key a template.
 */

export type Accelerator = "kvm" | "tcg";

/** Where the guest's memory lives. */
export type MemoryBacking =
  /** Private to this QEMU, gone with it. */
  | { readonly kind: "anonymous" }
  /** A file written through: what a template is made of. */
  | { readonly kind: "file-shared"; readonly path: string }
  /** A file mapped copy-on-write: what a sandbox is restored from. The file is never changed. */
  | { readonly kind: "file-private"; readonly path: string };

export interface MemorySpec {
  /** Memory at boot, a multiple of 1 MiB. */
  readonly bytes: number;
  /** Memory it may grow to, in bytes; at boot or below: it never grows. */
  readonly maxBytes: number;
  readonly backing: MemoryBacking;
}

/** A raw image, opened by QEMU itself: its user must be able to read (and write) it. */
export interface DiskSpec {
  /** Names the block node and the device: `[a-zA-Z][a-zA-Z0-9_.-]{0,30}`. */
  readonly id: string;
  readonly path: string;
  readonly readOnly: boolean;
  /** SCSI target, 0 to 255, by which the guest may find it. */
  readonly target: number;
  /** Serial number shown to the guest (VPD page 0x80), at most 36 characters. */
  readonly serial: string;
}

/** A virtio network card on a tap device, which exists already and belongs to QEMU's user. */
export interface NicSpec {
  readonly id: string;
  readonly mac: string;
  readonly tap:
    | { readonly kind: "name"; readonly name: string }
    | { readonly kind: "fd"; readonly fd: number };
  /** Root port to sit behind, 0 to `hotplugPorts - 1`; only then can the card be taken out again. */
  readonly port: number;
}

export interface MachineSpec {
  /** Shown in the process list; begins with a letter, a digit or a slash. */
  readonly name: string;
  readonly accelerator: Accelerator;
  /** Value of `-cpu`, for example `host`, `host,arch-capabilities=off` or `max`; see `prove-kvm.ts`. */
  readonly cpuModel: string;
  /** vCPUs at boot, at least 1. */
  readonly vcpus: number;
  /** Ceiling for vCPUs plugged in later. */
  readonly maxVcpus: number;
  readonly memory: MemorySpec;
  /** ELF vmlinux (entered by PVH) or bzImage. */
  readonly kernel: string;
  readonly initramfs: string;
  /** Kernel command line; see `kernelCommandLine`. */
  readonly cmdline: string;
  /** Listening unix socket of the monitor, as a descriptor that QEMU inherits; see `listening-socket.ts`. */
  readonly qmpFd: number;
  /** The same, wired to the guest's port `agentPort`. */
  readonly agentFd: number;
  /** Name of the virtio-serial port as the guest sees it. */
  readonly agentPort: string;
  /** Bytes of serial output that QEMU keeps; a power of two. */
  readonly serialRingBytes: number;
  /** The same, that the output of the second serial port goes to while somebody is connected; see `SerialReader`. */
  readonly serialFd: number;
  /** Entropy the guest may draw from the host. */
  readonly entropy: { readonly maxBytes: number; readonly periodMs: number };
  readonly disks: readonly DiskSpec[];
  readonly nics: readonly NicSpec[];
  /** PCI Express root ports for network cards, at boot or later; q35 takes no hot-plug on the root bus. */
  readonly hotplugPorts: number;
  /** `migration`: wait for device state (`migrate-incoming`) instead of booting. */
  readonly start: "boot" | "paused" | "migration";
}

/** The name of the block node, SCSI controller and serial ring that other code must address. */
export const SCSI_CONTROLLER = "scsi0";
export const SERIAL_RING = "serial0";
/** The most that code translated under emulation takes of the host beyond the guest's memory, in bytes. */
export const EMULATION_CODE_BYTES = 256 * 1024 * 1024;
/** Memory that comes and goes, in whole blocks: what is asked for is rounded up to one. */
export const MEMORY_BLOCK_BYTES = 2 * 1024 * 1024;
export const MEMORY_DEVICE = "memory1";
