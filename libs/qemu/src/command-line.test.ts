import assert from "node:assert/strict";
import { test } from "node:test";
import { qemuArguments } from "./command-line.ts";
import { kernelCommandLine } from "./kernel-command-line.ts";
import { machineLayout } from "./machine-layout.ts";
import type { MachineSpec } from "./machine-spec.ts";

const MIB = 1024 * 1024;

const spec: MachineSpec = {
  name: "sb-1",
  accelerator: "tcg",
  cpuModel: "max",
  vcpus: 2,
  maxVcpus: 8,
  memory: { bytes: 256 * MIB, maxBytes: 0, backing: { kind: "anonymous" } },
  kernel: "/g/vmlinux",
  initramfs: "/g/initramfs.cpio",
  cmdline: "console=ttyS0 quiet",
  qmpFd: 3,
  agentFd: 4,
  agentPort: "paddock.agent.0",
  serialRingBytes: 65_536,
  serialFd: 5,
  entropy: { maxBytes: 65_536, periodMs: 1000 },
  devices: [],
  hotplugPorts: 2,
  start: "boot",
};

const disk = {
  kind: "disk",
  id: "rootfs0",
  path: "/i/a,b.squashfs",
  readOnly: true,
  target: 3,
} as const;
const card = { kind: "interface", id: "net0", mac: "02:00:00:00:00:01", tap: "tap0", port: 0 } as const;

test("the command line of a machine has exactly these arguments", () => {
  assert.deepEqual(qemuArguments(spec), [
    ...["-name", "guest=sb-1,debug-threads=on"],
    ...["-nodefaults", "-no-user-config", "-display", "none", "-msg", "timestamp=on"],
    "-machine",
    "q35,memory-backend=ram0,sata=off,usb=off,smbus=off,hpet=off,vmport=off,smm=off",
    ...["-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max"],
    ...["-smp", "cpus=2,maxcpus=8,sockets=8,cores=1,threads=1"],
    ...["-m", "size=256M", "-object", "memory-backend-ram,id=ram0,size=256M"],
    ...["-kernel", "/g/vmlinux", "-initrd", "/g/initramfs.cpio", "-append", "console=ttyS0 quiet"],
    ...["-action", "reboot=shutdown,shutdown=pause,panic=pause,watchdog=pause"],
    ...["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"],
    ...["-chardev", "socket,id=qmp0,fd=3,server=on,wait=off"],
    ...["-mon", "chardev=qmp0,mode=control,pretty=off"],
    ...["-chardev", "ringbuf,id=serial0,size=65536", "-device", "isa-serial,chardev=serial0,index=0"],
    ...["-chardev", "socket,id=serial1,fd=5,server=on,wait=off"],
    ...["-device", "isa-serial,chardev=serial1,index=1"],
    ...["-device", "pvpanic-pci,id=pvpanic0,addr=0x7"],
    ...["-device", "virtio-serial-pci,id=vserial0,max_ports=2,addr=0x3"],
    ...["-chardev", "socket,id=agent0,fd=4,server=on,wait=off"],
    "-device",
    "virtserialport,id=agentport0,bus=vserial0.0,nr=1,chardev=agent0,name=paddock.agent.0",
    ...["-object", "rng-random,id=rng0,filename=/dev/urandom"],
    ...["-device", "virtio-rng-pci,id=vrng0,rng=rng0,max-bytes=65536,period=1000,addr=0x4"],
    ...["-device", "virtio-scsi-pci,id=scsi0,addr=0x5"],
    ...["-device", "pcie-root-port,id=port0,chassis=1,addr=0x8.0x0,multifunction=on"],
    ...["-device", "pcie-root-port,id=port1,chassis=2,addr=0x8.0x1"],
    "-S",
  ]);
});

/** Arguments that a changed spec adds to those of the base spec. */
function added(change: Partial<MachineSpec>): string[] {
  const before = new Set(qemuArguments(spec));
  return qemuArguments({ ...spec, ...change }).filter((word) => !before.has(word));
}

test("KVM is the only accelerator named, so that a failure does not fall back to emulation", () => {
  assert.deepEqual(added({ accelerator: "kvm", cpuModel: "host,arch-capabilities=off" }), [
    "kvm",
    "host,arch-capabilities=off",
  ]);
});

test("one thread emulates all vCPUs, unless more can be plugged in", () => {
  assert.deepEqual(added({ vcpus: 8 }).slice(0, 1), ["tcg,thread=single,tb-size=256"]);
});

test("memory that may grow is a separate device of whole blocks up to the maximum, and reserves nothing", () => {
  const memory = { ...spec.memory, maxBytes: 1025 * MIB };
  assert.deepEqual(added({ memory }), [
    "size=256M,slots=1,maxmem=1024M",
    "memory-backend-ram,id=memory1-ram,size=768M,reserve=off",
    "virtio-mem-pci,id=memory1,memdev=memory1-ram,requested-size=0,block-size=2M,addr=0x6",
  ]);
  assert.deepEqual(added({ memory: { ...spec.memory, maxBytes: 256 * MIB } }), []);
});

test("a template's memory file is mapped shared, a sandbox's privately", () => {
  const backing = (kind: "file-shared" | "file-private") => ({
    ...spec.memory,
    backing: { kind, path: "/t/ram" },
  });
  assert.deepEqual(added({ memory: backing("file-shared") }), [
    "memory-backend-file,id=ram0,mem-path=/t/ram,share=on,size=256M",
  ]);
  assert.deepEqual(added({ memory: backing("file-private"), start: "restore" }), [
    "memory-backend-file,id=ram0,mem-path=/t/ram,share=off,readonly=off,size=256M",
    ...["-incoming", "defer"],
  ]);
});

const share = { kind: "share", id: "share0", tag: "host0", socket: "/v/share0.sock", place: 1 } as const;
const shared = { ...spec.memory, backing: { kind: "shared" } } as const;

test("a share is a socket of its server and a device of the root bus, in a machine with shared memory", () => {
  const words = added({ devices: [share], memory: { ...shared, maxBytes: 512 * MIB } });
  const device = JSON.parse(words.pop() ?? "");
  assert.deepEqual(words, [
    ...["size=256M,slots=1,maxmem=512M", "memory-backend-memfd,share=on,id=ram0,size=256M"],
    "memory-backend-memfd,share=on,id=memory1-ram,size=256M,reserve=off",
    "virtio-mem-pci,id=memory1,memdev=memory1-ram,requested-size=0,block-size=2M,addr=0x6",
    "socket,id=share0,path=/v/share0.sock",
  ]);
  assert.deepEqual(device, {
    driver: "vhost-user-fs-pci",
    id: "share0-dev",
    chardev: "share0",
    tag: "host0",
    "queue-size": 1024,
    bus: "pcie.0",
    addr: "0x11",
  });
});

test("a machine with shared memory has another layout, whatever the socket of its share", () => {
  const machine: MachineSpec = { ...spec, devices: [share], memory: shared };
  const moved = { ...machine, devices: [{ ...share, socket: "/w/share0.sock" }] };
  assert.equal(machineLayout(moved), machineLayout(machine));
  assert.notEqual(machineLayout({ ...spec, memory: shared }), machineLayout(spec));
});

test("a disk is raw without probing, read-only down to the file, and stops the machine when the host's disk is full", () => {
  const [switchWord, node = "", device = ""] = added({ devices: [disk] });
  assert.equal(switchWord, "-blockdev");
  assert.deepEqual(JSON.parse(node), {
    driver: "raw",
    "node-name": "rootfs0",
    "read-only": true,
    file: { driver: "file", filename: "/i/a,b.squashfs", "read-only": true },
  });
  assert.deepEqual(JSON.parse(device), {
    driver: "scsi-hd",
    id: "rootfs0-dev",
    bus: "scsi0.0",
    drive: "rootfs0",
    channel: 0,
    "scsi-id": 3,
    lun: 0,
    serial: "rootfs0",
    werror: "enospc",
  });
});

test("a device file of a block device is opened as such", () => {
  const [, node = ""] = added({ devices: [{ ...disk, path: "/v/disk2", isBlockDevice: true }] });
  assert.deepEqual(JSON.parse(node).file, { driver: "host_device", filename: "/v/disk2", "read-only": true });
});

test("discards of a writable disk punch holes in its file", () => {
  const [, node = ""] = added({ devices: [{ ...disk, path: "/s/0.ext4", readOnly: false }] });
  assert.deepEqual(JSON.parse(node), {
    driver: "raw",
    "node-name": "rootfs0",
    "read-only": false,
    discard: "unmap",
    file: { driver: "file", filename: "/s/0.ext4", "read-only": false, discard: "unmap" },
  });
});

test("a network card runs no script and loads no boot ROM", () => {
  const [netdev, backend = "", device = ""] = added({ devices: [card] });
  assert.equal(netdev, "-netdev");
  assert.deepEqual(JSON.parse(backend), {
    type: "tap",
    id: "net0",
    ifname: "tap0",
    script: "no",
    downscript: "no",
    vhost: false,
  });
  assert.deepEqual(JSON.parse(device), {
    driver: "virtio-net-pci",
    id: "net0-dev",
    netdev: "net0",
    mac: "02:00:00:00:00:01",
    bus: "port0",
    addr: "0x0",
    romfile: "",
  });
});

test("a card without a port is on the root bus, of which no device is unplugged", () => {
  const { port: _, ...fixed } = card;
  const device = JSON.parse(added({ devices: [fixed] })[2] ?? "");
  assert.deepEqual([device.bus, device.addr], ["pcie.0", "0xa"]);
});

test("a comma in a machine's name stays part of the name", () => {
  const words = qemuArguments({ ...spec, name: "/run/a,process=x/vm" });
  assert.ok(words.includes("guest=/run/a,,process=x/vm,debug-threads=on"));
});

test("machines that differ only in name, files, taps and origin have the same layout, and no others do", () => {
  const memory = { ...spec.memory, backing: { kind: "file-private", path: "/t/ram" } } as const;
  const saved: MachineSpec = { ...spec, devices: [disk, card] };
  const fits = [
    { ...disk, path: "/other" },
    { ...card, tap: "tap1", mac: "02:00:00:00:00:02" },
  ];
  const restored: MachineSpec = { ...saved, name: "sb-2", start: "restore", memory, devices: fits };
  assert.equal(machineLayout(restored), machineLayout(saved));
  const others: Partial<MachineSpec>[] = [
    { vcpus: 3 },
    { devices: [disk] },
    { devices: [{ ...disk, target: 4 }, card] },
    { devices: [disk, { ...card, port: 1 }] },
    { initramfs: "/g/other" },
  ];
  for (const other of others) assert.notEqual(machineLayout({ ...saved, ...other }), machineLayout(saved));
});

const refused: [string, Partial<MachineSpec>][] = [
  ["a name with a newline", { name: "a\nb" }],
  ["a name that starts like a switch", { name: "-x" }],
  ["a CPU model with a blank", { cpuModel: "host -S" }],
  ["no vCPU", { vcpus: 0 }],
  ["more vCPUs than the maximum", { vcpus: 9 }],
  ["half a vCPU", { vcpus: 1.5 }],
  [
    "memory that is not a whole number of MiB",
    { memory: { bytes: MIB + 1, maxBytes: 0, backing: { kind: "anonymous" } } },
  ],
  [
    "a memory maximum that is not a whole number of MiB",
    { memory: { ...spec.memory, maxBytes: 512 * MIB + 1 } },
  ],
  ["a relative path", { kernel: "vmlinux" }],
  ["a path with ..", { initramfs: "/g/../etc/shadow" }],
  ["a newline in a path", { kernel: "/g/vm\nlinux" }],
  ["a descriptor that is a standard stream", { qmpFd: 2 }],
  ["a kernel line with a newline", { cmdline: "a\nb" }],
  ["a ring size that is not a power of two", { serialRingBytes: 5000 }],
  ["a device id with an equals sign", { devices: [{ ...disk, id: "a=b" }] }],
  ["a disk path with ..", { devices: [{ ...disk, path: "/a/../b" }] }],
  ["a SCSI target out of range", { devices: [{ ...disk, target: 256 }] }],
  ["a device id that is too long for a serial number", { devices: [{ ...disk, id: "a".repeat(37) }] }],
  ["a MAC address with options behind it", { devices: [{ ...card, mac: "02:00:00:00:00:01,x=1" }] }],
  ["a share without shared memory", { devices: [share] }],
  ["a share out of place", { devices: [{ ...share, place: 8 }], memory: shared }],
  ["a tag with an equals sign", { devices: [{ ...share, tag: "a=b" }], memory: shared }],
  ["a tap with a comma", { devices: [{ ...card, tap: "t,fd=3" }] }],
  ["a card behind a port that does not exist", { devices: [{ ...card, port: 2 }] }],
];
for (const [what, change] of refused) {
  test(`a spec with ${what} is refused`, () => {
    assert.throws(() => qemuArguments({ ...spec, ...change }), { name: "QemuError", kind: "invalid-spec" });
  });
}

test("the kernel reboots on panic and is quiet unless verbose is set", () => {
  assert.match(kernelCommandLine(), /\bquiet\b.*\bpanic=-1\b/);
  assert.match(kernelCommandLine({ verbose: true, extra: ["a=b"] }), /loglevel=7.* a=b$/);
});
