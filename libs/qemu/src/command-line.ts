/**
 * Builds the arguments of qemu-system-x86_64 from a MachineSpec.
 *
 * Pure: it reads no file and no default, and does not depend on the host. There is one function per switch, so the line that adds
 * an argument is easy to find. The README explains the safety switches.
 */
import { deviceArguments, MAX_PORTS } from "./devices.ts";
import {
  EMULATION_CODE_BYTES,
  type MachineSpec,
  MEMORY_BLOCK_BYTES,
  MEMORY_DEVICE,
  type MemoryBacking,
  SCSI_CONTROLLER,
  SERIAL_RING,
} from "./machine-spec.ts";
import { check, descriptor, integer, MIB, mebibytes, path, value } from "./spec-values.ts";

const PORT_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/;
const NAME = /^[a-zA-Z0-9/]/;

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
  const backend = spec.memory.backing.kind === "shared" ? SHARED : "memory-backend-ram";
  return [
    "-object",
    `${backend},id=${MEMORY_DEVICE}-ram,size=${more}M,reserve=off`,
    "-device",
    `virtio-mem-pci,id=${MEMORY_DEVICE},memdev=${MEMORY_DEVICE}-ram,requested-size=0,block-size=${BLOCK_MIB}M,addr=0x6`,
  ];
};

/** Memory with a descriptor, which QEMU passes to the servers of shares. It has no name and ends with its last user. */
const SHARED = "memory-backend-memfd,share=on";

function memoryObject(backing: MemoryBacking): string {
  switch (backing.kind) {
    case "anonymous":
      return "memory-backend-ram,id=ram0";
    case "shared":
      return `${SHARED},id=ram0`;
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
  const count = integer(spec.hotplugPorts, 0, MAX_PORTS, "hotplugPorts");
  // Root ports use functions 0 to 7 of slots 8 and 9, one multifunction device per slot.
  return Array.from({ length: count }, (_, i) => {
    const address = `0x${(8 + Math.floor(i / 8)).toString(16)}.0x${i % 8}`;
    const multifunction = i % 8 === 0 ? ",multifunction=on" : "";
    return ["-device", `pcie-root-port,id=port${i},chassis=${i + 1},addr=${address}${multifunction}`];
  }).flat();
};

const scsiController = (): string[] => ["-device", `virtio-scsi-pci,id=${SCSI_CONTROLLER},addr=0x5`];

function devices({ devices: cold, hotplugPorts, memory: { backing } }: MachineSpec): string[] {
  const hasShare = cold.some(({ kind }) => kind === "share");
  check(!hasShare || backing.kind === "shared", "the server of a share needs shared memory");
  for (const device of cold)
    if (device.kind === "interface" && device.port !== undefined)
      integer(device.port, 0, hotplugPorts - 1, "network port");
  return cold.flatMap(deviceArguments);
}

/** The vCPUs wait for `cont`, because links and plugged devices come first, and before that the state of a restored machine. */
const start = ({ start }: MachineSpec): string[] =>
  start === "boot" ? ["-S"] : ["-S", "-incoming", "defer"];

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
    ...scsiController(),
    ...pluggedMemory(spec),
    ...ports(spec),
    ...devices(spec),
    ...start(spec),
  ];
}
