/**
 * Builds the arguments of qemu-system-x86_64 from a MachineSpec.
 *
 * Pure: it reads no file and no default, and does not depend on the host. There is one function per switch, so the line that adds
 * an argument is easy to find. The README explains the safety switches.
 */
import {
  type DiskSpec,
  EMULATION_CODE_BYTES,
  type MachineSpec,
  MEMORY_BLOCK_BYTES,
  MEMORY_DEVICE,
  type MemoryBacking,
  type NicSpec,
  SCSI_CONTROLLER,
  SERIAL_RING,
} from "./machine-spec.ts";
import { QemuError } from "./qemu-error.ts";

const MIB = 1024 * 1024;
const ID = /^[a-zA-Z][a-zA-Z0-9_.-]{0,30}$/;
const PORT_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/;
const NAME = /^[a-zA-Z0-9/]/;
const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/;
const TAP = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,14}$/;

function refuse(what: string): never {
  throw new QemuError("invalid-spec", `cannot build the QEMU command line: ${what}`);
}

function check(condition: boolean, what: string): void {
  if (!condition) refuse(what);
}

/** QEMU splits option strings at commas; a doubled comma is a literal one. */
function value(text: string): string {
  check(text !== "" && !/\p{Cc}/u.test(text), `empty or unprintable value ${JSON.stringify(text)}`);
  return text.replaceAll(",", ",,");
}

function path(text: string): string {
  check(
    text.startsWith("/") && !text.split("/").includes(".."),
    `${JSON.stringify(text)} is not an absolute path`,
  );
  return value(text);
}

function id(text: string): string {
  check(ID.test(text), `"${text}" is not a device id`);
  return text;
}

function integer(n: number, min: number, max: number, what: string): number {
  check(Number.isSafeInteger(n) && n >= min && n <= max, `${what} is ${n}, expected ${min} to ${max}`);
  return n;
}

/** A descriptor that QEMU inherits. A path could be replaced; see `listening-socket.ts`. */
const descriptor = (fd: number): number => integer(fd, 3, 1023, "descriptor");

function mebibytes(bytes: number, what: string): number {
  check(bytes % MIB === 0, `${what} is ${bytes} bytes, not a multiple of 1 MiB`);
  return integer(bytes / MIB, 1, 16 * 1024 * 1024, `${what} in MiB`);
}

/** No default devices, no user configuration, no display. */
const bare = (): string[] => ["-nodefaults", "-no-user-config", "-display", "none", "-msg", "timestamp=on"];

const name = (spec: MachineSpec): string[] => {
  check(NAME.test(spec.name), `"${spec.name}" is not a machine name`);
  return ["-name", `guest=${value(spec.name)},debug-threads=on`];
};

/**
 * Without SATA, USB, SMBus, HPET, VMware port and SMM: an absent device has no bugs and takes no boot time. q35 keeps its
 * interfaces for CPU and memory hot-plug.
 */
const machine = (): string[] => [
  "-machine",
  "q35,memory-backend=ram0,sata=off,usb=off,smbus=off,hpet=off,vmport=off,smm=off",
];

/**
 * Names one accelerator, never a list: with `kvm:tcg` a permission problem silently falls back to emulation. `tb-size` limits the
 * cache of translated code, because a guest can fill QEMU's default of 1 GiB at the host's expense. One thread emulates all vCPUs:
 * with one thread per vCPU, QEMU can run stale translations of code that the guest has changed, and the guest hangs (see the
 * README). That thread never runs a vCPU that is plugged in (seen with QEMU 7.2), so a machine with room for more vCPUs has one
 * thread per vCPU. The node starts emulated VMs with all their vCPUs.
 */
export function acceleratorArguments(
  spec: Pick<MachineSpec, "accelerator" | "vcpus" | "maxVcpus">,
): string[] {
  if (spec.accelerator === "kvm") return ["-accel", "kvm"];
  const thread = spec.vcpus === spec.maxVcpus ? "single" : "multi";
  return ["-accel", `tcg,thread=${thread},tb-size=${EMULATION_CODE_BYTES / MIB}`];
}

const cpu = (spec: MachineSpec): string[] => {
  check(/^[a-zA-Z0-9][a-zA-Z0-9_.,=+-]*$/.test(spec.cpuModel), `"${spec.cpuModel}" is not a CPU model`);
  return ["-cpu", spec.cpuModel];
};

/** One socket per vCPU, so that vCPUs can be plugged in one at a time. */
const smp = (spec: MachineSpec): string[] => {
  const max = integer(spec.maxVcpus, 1, 255, "maxVcpus");
  const now = integer(spec.vcpus, 1, max, "vcpus");
  return ["-smp", `cpus=${now},maxcpus=${max},sockets=${max},cores=1,threads=1`];
};

const memorySize = (spec: MachineSpec): string[] => {
  const now = mebibytes(spec.memory.bytes, "memory");
  const more = growth(spec);
  // QEMU requires a slot when memory may grow; virtio-mem does not use it.
  return ["-m", more === 0 ? `size=${now}M` : `size=${now}M,slots=1,maxmem=${now + more}M`];
};

const BLOCK_MIB = MEMORY_BLOCK_BYTES / MIB;

/** How much memory may grow, in MiB, in whole blocks. */
function growth({ memory: { bytes, maxBytes } }: MachineSpec): number {
  if (maxBytes <= bytes) return 0;
  const more = mebibytes(maxBytes, "maximum memory") - mebibytes(bytes, "memory");
  return more - (more % BLOCK_MIB);
}

/**
 * virtio-mem: one device that grows and shrinks, instead of one DIMM per step that can never be removed. No host memory is reserved
 * for it. QEMU aligns its address range to the guest's memory blocks.
 */
const pluggedMemory = (spec: MachineSpec): string[] => {
  const more = growth(spec);
  if (more === 0) return [];
  return [
    "-object",
    `memory-backend-ram,id=${MEMORY_DEVICE}-ram,size=${more}M,reserve=off`,
    "-device",
    `virtio-mem-pci,id=${MEMORY_DEVICE},memdev=${MEMORY_DEVICE}-ram,requested-size=0,block-size=${BLOCK_MIB}M,addr=0x6`,
  ];
};

function memoryObject(backing: MemoryBacking): string {
  switch (backing.kind) {
    case "anonymous":
      return "memory-backend-ram,id=ram0";
    case "file-shared":
      return `memory-backend-file,id=ram0,mem-path=${path(backing.path)},share=on`;
    case "file-private":
      return `memory-backend-file,id=ram0,mem-path=${path(backing.path)},share=off,readonly=off`;
    default:
      return backing satisfies never;
  }
}

const memory = (spec: MachineSpec): string[] => [
  "-object",
  `${memoryObject(spec.memory.backing)},size=${mebibytes(spec.memory.bytes, "memory")}M`,
];

const boot = (spec: MachineSpec): string[] => {
  check(/^[\x20-\x7e]*$/.test(spec.cmdline), "the kernel command line has unprintable characters");
  // These three are not option strings: commas are literal.
  path(spec.kernel);
  path(spec.initramfs);
  return ["-kernel", spec.kernel, "-initrd", spec.initramfs, "-append", spec.cmdline];
};

/**
 * When the guest resets, panics or powers off, QEMU pauses and does not exit. The serial ring and the cause can still be read, even
 * by a daemon that was down at that time.
 */
const ending = (): string[] => ["-action", "reboot=shutdown,shutdown=pause,panic=pause,watchdog=pause"];

const seccomp = (): string[] => [
  "-sandbox",
  "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
];

const monitor = (spec: MachineSpec): string[] => [
  "-chardev",
  `socket,id=qmp0,fd=${descriptor(spec.qmpFd)},server=on,wait=off`,
  "-mon",
  "chardev=qmp0,mode=control,pretty=off",
];

/**
 * The console has two outputs. The ring is in QEMU's memory: it is bounded, never blocks a vCPU, and is there for a daemon that was
 * down, but it is lost when QEMU dies. The socket is read by the daemon, whose copy survives when QEMU is killed.
 */
const serial = (spec: MachineSpec): string[] => {
  const bytes = integer(spec.serialRingBytes, 1024, 16 * MIB, "serialRingBytes");
  check((bytes & (bytes - 1)) === 0, `serialRingBytes is ${bytes}, not a power of two`);
  return [
    "-chardev",
    `ringbuf,id=${SERIAL_RING},size=${bytes}`,
    "-device",
    `isa-serial,chardev=${SERIAL_RING},index=0`,
    "-chardev",
    `socket,id=serial1,fd=${descriptor(spec.serialFd)},server=on,wait=off`,
    "-device",
    "isa-serial,chardev=serial1,index=1",
    "-device",
    "pvpanic-pci,id=pvpanic0,addr=0x7",
  ];
};

const agent = (spec: MachineSpec): string[] => {
  check(PORT_NAME.test(spec.agentPort), `"${spec.agentPort}" is not a port name`);
  return [
    "-device",
    "virtio-serial-pci,id=vserial0,max_ports=2,addr=0x3",
    "-chardev",
    `socket,id=agent0,fd=${descriptor(spec.agentFd)},server=on,wait=off`,
    "-device",
    `virtserialport,id=agentport0,bus=vserial0.0,nr=1,chardev=agent0,name=${spec.agentPort}`,
  ];
};

const entropy = (spec: MachineSpec): string[] => {
  const maxBytes = integer(spec.entropy.maxBytes, 1, MIB, "entropy.maxBytes");
  const period = integer(spec.entropy.periodMs, 1, 60_000, "entropy.periodMs");
  return [
    "-object",
    "rng-random,id=rng0,filename=/dev/urandom",
    "-device",
    `virtio-rng-pci,id=vrng0,rng=rng0,max-bytes=${maxBytes},period=${period},addr=0x4`,
  ];
};

const ports = (spec: MachineSpec): string[] => {
  const count = integer(spec.hotplugPorts, 0, 16, "hotplugPorts");
  // Root ports use functions 0 to 7 of slots 8 and 9, one multifunction device per slot.
  return Array.from({ length: count }, (_, i) => {
    const address = `0x${(8 + Math.floor(i / 8)).toString(16)}.0x${i % 8}`;
    const multifunction = i % 8 === 0 ? ",multifunction=on" : "";
    return ["-device", `pcie-root-port,id=port${i},chassis=${i + 1},addr=${address}${multifunction}`];
  }).flat();
};

function disk(spec: DiskSpec): string[] {
  path(spec.path);
  return ["-blockdev", JSON.stringify(blockNode(spec)), "-device", JSON.stringify(scsiDisk(spec))];
}

/**
 * The block node of a disk, in the format of both `-blockdev` and `blockdev-add`. Discards of the guest punch holes in the file.
 * Writes are not scanned for zeros, because that would slow down each write.
 */
export function blockNode(spec: DiskSpec): Record<string, unknown> {
  const common = { "read-only": spec.readOnly, ...(!spec.readOnly && { discard: "unmap" }) };
  return {
    driver: "raw",
    "node-name": id(spec.id),
    ...common,
    file: { driver: "file", filename: spec.path, ...common },
  };
}

/** The SCSI device of a disk, in the format of both `-device` and `device_add`. */
export function scsiDisk(spec: DiskSpec): Record<string, string | number> {
  check(/^[a-zA-Z0-9_.-]{1,36}$/.test(spec.serial), `"${spec.serial}" is not a SCSI serial number`);
  return {
    driver: "scsi-hd",
    id: `${id(spec.id)}-dev`,
    bus: `${SCSI_CONTROLLER}.0`,
    drive: spec.id,
    channel: 0,
    "scsi-id": integer(spec.target, 0, 255, "SCSI target"),
    lun: 0,
    serial: spec.serial,
    // When the host's disk is full, the machine stops (RunState "io-error"), and `cont` retries the write. Other errors are
    // reported to the guest.
    werror: "enospc",
  };
}

const disks = (spec: MachineSpec): string[] => [
  "-device",
  `virtio-scsi-pci,id=${SCSI_CONTROLLER},addr=0x5`,
  ...spec.disks.flatMap(disk),
];

function nic(spec: NicSpec, hotplugPorts: number): string[] {
  check(MAC.test(spec.mac), `"${spec.mac}" is not a MAC address in lower case`);
  const tap = spec.tap;
  if (tap.kind === "name") check(TAP.test(tap.name), `"${tap.name}" is not an interface name`);
  const source =
    tap.kind === "name" ? `ifname=${tap.name},script=no,downscript=no` : `fd=${descriptor(tap.fd)}`;
  const port = integer(spec.port, 0, hotplugPorts - 1, "network port");
  return [
    "-netdev",
    `tap,id=${id(spec.id)},${source},vhost=off`,
    "-device",
    `virtio-net-pci,id=${spec.id}-dev,netdev=${spec.id},mac=${spec.mac},bus=port${port},romfile=`,
  ];
}

const start = (spec: MachineSpec): string[] => {
  switch (spec.start) {
    case "boot":
      return [];
    case "paused":
      return ["-S"];
    case "migration":
      return ["-S", "-incoming", "defer"];
    default:
      return spec.start satisfies never;
  }
};

/** All arguments after the binary. Throws QemuError `invalid-spec`, which names the field. */
export function qemuArguments(spec: MachineSpec): string[] {
  return [
    ...name(spec),
    ...bare(),
    ...machine(),
    ...acceleratorArguments(spec),
    ...cpu(spec),
    ...smp(spec),
    ...memorySize(spec),
    ...memory(spec),
    ...boot(spec),
    ...ending(),
    ...seccomp(),
    ...monitor(spec),
    ...serial(spec),
    ...agent(spec),
    ...entropy(spec),
    ...disks(spec),
    ...pluggedMemory(spec),
    ...ports(spec),
    ...spec.nics.flatMap((card) => nic(card, spec.hotplugPorts)),
    ...start(spec),
  ];
}
