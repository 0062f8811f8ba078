import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { extractVmlinux, hasPvhEntry, kernelPayload } from "./extract-vmlinux.ts";
import { moduleName, planModules } from "./module-plan.ts";
import { type ArchiveEntry, newcArchive } from "./newc-archive.ts";

const tables = {
  dep: [
    "kernel/a/scsi_common.ko:",
    "kernel/a/scsi_mod.ko: kernel/a/scsi_common.ko",
    "kernel/b/virtio-ring.ko:",
    "kernel/b/virtio.ko: kernel/b/virtio-ring.ko",
    "kernel/a/virtio_scsi.ko: kernel/b/virtio.ko kernel/b/virtio-ring.ko kernel/a/scsi_mod.ko kernel/a/scsi_common.ko",
    "kernel/c/erofs.ko.xz: kernel/b/virtio.ko kernel/b/virtio-ring.ko",
  ].join("\n"),
  builtin: "kernel/fs/ext4/ext4.ko\n",
};

test("every module is listed once, after its dependencies", () => {
  const plan = planModules("boot virtio_scsi\nboot virtio_ring\n", tables);
  assert.deepEqual(plan.boot.map(moduleName), [
    "scsi_common",
    "scsi_mod",
    "virtio_ring",
    "virtio",
    "virtio_scsi",
  ]);
});

test("a module that is loaded at boot is not listed again on demand", () => {
  const plan = planModules("boot virtio # first\ndemand erofs\n\n# nothing else\n", tables);
  assert.deepEqual(plan.boot.map(moduleName), ["virtio_ring", "virtio"]);
  assert.deepEqual(plan.demand, ["kernel/c/erofs.ko.xz"]);
});

test("a module on demand is loaded after its own dependencies, and with no module that it does not need", () => {
  const plan = planModules("boot virtio\ndemand erofs\ndemand virtio_scsi\ndemand scsi_mod\n", tables);
  assert.deepEqual(
    plan.chains.map((chain) => chain.map(moduleName)),
    [["erofs"], ["scsi_common", "scsi_mod", "virtio_scsi"], ["scsi_common", "scsi_mod"]],
  );
  assert.equal(new Set(plan.demand).size, plan.demand.length);
});

test("a built-in module needs no file, an unknown one is an error that names it", () => {
  assert.deepEqual(planModules("boot ext4", tables).builtin, ["ext4"]);
  assert.throws(() => planModules("boot nonsense", tables), /no module "nonsense"/);
});

for (const line of ["boot", "later virtio", "boot virtio erofs"]) {
  test(`the list's line "${line}" is refused with its number`, () => {
    assert.throws(() => planModules(`boot virtio\n${line}`, tables), /line 2/);
  });
}

const entries: ArchiveEntry[] = [
  { kind: "file", path: "init", mode: 0o755, data: Buffer.from("hello") },
  { kind: "directory", path: "dev", mode: 0o755 },
  { kind: "character-device", path: "dev/console", mode: 0o600, major: 5, minor: 1 },
];

test("the archive has the same bytes for any order of its entries", () => {
  assert.deepEqual(newcArchive(entries), newcArchive(entries.toReversed()));
});

test("the archive has the names, modes, sizes and device numbers that cpio writes", () => {
  const archive = newcArchive(entries).toString("latin1");
  const header = (name: string): string[] => {
    const at = archive.indexOf(`${name}\0`) - 110;
    assert.equal(archive.slice(at, at + 6), "070701");
    return archive.slice(at + 6, at + 110).match(/.{8}/g) ?? [];
  };
  const number = (fields: string[], index: number): number => Number.parseInt(fields[index] ?? "", 16);
  assert.equal(number(header("init"), 1), 0o100755);
  assert.equal(number(header("init"), 6), 5);
  assert.equal(number(header("dev/console"), 1), 0o020600);
  assert.deepEqual([number(header("dev/console"), 9), number(header("dev/console"), 10)], [5, 1]);
  assert.ok(archive.includes("TRAILER!!!"));
  assert.equal(archive.length % 512, 0);
});

/** An ELF header with or without a Xen PHYS32_ENTRY note after it. */
function elf(withNote: boolean): Buffer {
  const header = Buffer.alloc(64);
  header.write("\x7fELF", "latin1");
  header.writeBigUInt64LE(84n, 0x28); // section table after the note
  const note = Buffer.from([
    4,
    0,
    0,
    0,
    4,
    0,
    0,
    0,
    withNote ? 18 : 17,
    0,
    0,
    0,
    0x58,
    0x65,
    0x6e,
    0,
    0,
    0,
    0,
    1,
  ]);
  return Buffer.concat([header, note, Buffer.from("unused relocations")]);
}

function bzImage(payload: Buffer, unpackedBytes: number): Buffer {
  const head = Buffer.alloc(1024);
  head.writeUInt8(1, 0x1f1);
  head.write("HdrS", 0x202, "latin1");
  head.writeUInt16LE(0x20f, 0x206);
  head.writeUInt32LE(16, 0x248);
  head.writeUInt32LE(payload.length + 4, 0x24c);
  const size = Buffer.alloc(4);
  size.writeUInt32LE(unpackedBytes);
  return Buffer.concat([head, Buffer.alloc(16), payload, size, Buffer.from("trailing code")]);
}

for (const argv of [
  ["lz4", "-lc"],
  ["zstd", "-c"],
  ["xz", "-c"],
  ["gzip", "-c"],
] as const) {
  test(`a kernel packed with ${argv[0]} is unpacked, and cut at the end of its ELF`, () => {
    const [command, ...args] = argv;
    const kernel = elf(true);
    const packed = spawnSync(command, args, { input: kernel }).stdout;
    assert.deepEqual(extractVmlinux(bzImage(packed, kernel.length)), kernel.subarray(0, 84));
  });
}

test("a kernel without a PVH entry is refused", () => {
  assert.equal(hasPvhEntry(elf(true)), true);
  const packed = spawnSync("gzip", ["-c"], { input: elf(false) }).stdout;
  assert.throws(() => extractVmlinux(bzImage(packed, elf(false).length)), /PVH/);
});

test("a file that is not a bzImage, or whose payload lies outside it, is refused", () => {
  assert.throws(() => kernelPayload(Buffer.alloc(4096)), /HdrS/);
  const cut = bzImage(Buffer.alloc(100), 1).subarray(0, 1080);
  assert.throws(() => kernelPayload(cut), /outside/);
});

test("a payload whose unpacked size differs from the recorded size is refused", () => {
  const packed = spawnSync("gzip", ["-c"], { input: elf(true) }).stdout;
  assert.throws(() => extractVmlinux(bzImage(packed, 7)), /expected 7/);
});
