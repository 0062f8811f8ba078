import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { newVmId, vmPaths } from "../vm/vm-paths.ts";
import { deviceNumber } from "./device-number.ts";
import { HostDisks } from "./host-disks.ts";
import { listLoops } from "./loop-devices.ts";

const UID = 64_990;

/** A state directory with a VM, and a directory of devices with an image file. */
function fixture(t: TestContext) {
  const root = mkdtempSync(join(tmpdir(), "host-disks-"));
  const vm = vmPaths(join(root, "state"), newVmId());
  mkdirSync(vm.dir, { recursive: true });
  const devices = join(root, "devices");
  mkdirSync(join(devices, "sub"), { recursive: true });
  const path = join(devices, "sub", "a.img");
  writeFileSync(path, Buffer.alloc(65_536, "-"));
  const disks = new HostDisks([devices]);
  t.after(async () => {
    await disks.releaseAll(vm);
    rmSync(root, { recursive: true, force: true });
  });
  return { root, vm, devices, path, disks };
}

const loopsOf = async (identity: string) => (await listLoops()).filter((each) => each.identity === identity);

test("an image file is a block device of the VM until it is released, and its owner cannot change the mode", async (t) => {
  const { vm, path, disks, root } = fixture(t);
  const source = await disks.inspect({ path, readOnly: false });
  assert.equal(source.sizeBytes, 65_536);
  const disk = { source, target: 7 };
  for (let time = 0; time < 2; time++) await disks.acquire(vm, disk, UID);
  const node = join(vm.dir, "disk7");
  const { mode, uid, gid } = statSync(node);
  assert.deepEqual([mode & 0o777, uid, gid, statSync(node).isBlockDevice()], [0o660, 0, UID, true]);
  execFileSync("dd", [`of=${node}`, "conv=notrunc,fsync", "status=none"], { input: "hello" });
  assert.equal((await loopsOf(source.identity)).length, 1);
  assert.deepEqual(await disks.owners(join(root, "state")), [vm.id]);
  await disks.releaseAll(vm);
  assert.deepEqual([readdirSync(vm.dir), await loopsOf(source.identity)], [[], []]);
  assert.equal(readFileSync(path, "utf8").slice(0, 6), "hello-");
});

test("a read-only device cannot be written to by any user, and is not written to elsewhere", async (t) => {
  const { vm, path, disks } = fixture(t);
  const source = await disks.inspect({ path, readOnly: true });
  await disks.acquire(vm, { source, target: 3 }, UID);
  const node = join(vm.dir, "disk3");
  assert.equal(statSync(node).mode & 0o777, 0o440);
  assert.throws(() =>
    execFileSync("dd", [`of=${node}`, "status=none", "conv=fsync"], { input: "x", stdio: "pipe" }),
  );
  await disks.inspect({ path, readOnly: true });
  await assert.rejects(disks.inspect({ path, readOnly: false }), { reason: "DEVICE_IN_USE" });
  await disks.release(vm, 3);
  await disks.inspect({ path, readOnly: false });
});

test("a loop device without its device file, as after a crash, is detached by its note", async (t) => {
  const { vm, path, disks } = fixture(t);
  const source = await disks.inspect({ path, readOnly: false });
  await disks.acquire(vm, { source, target: 1 }, UID);
  rmSync(join(vm.dir, "disk1"));
  await disks.releaseAll(vm);
  assert.deepEqual([readdirSync(vm.dir), await loopsOf(source.identity)], [[], []]);
});

test("what is outside of the allowed directories, or behind a link, is refused", async (t) => {
  const { root, devices, path, disks } = fixture(t);
  writeFileSync(join(root, "secret"), Buffer.alloc(512));
  symlinkSync(join(root, "secret"), join(devices, "link"));
  symlinkSync(join(devices, "sub"), join(devices, "linked"));
  const reasons = {
    [join(root, "secret")]: "PATH_NOT_ALLOWED",
    [`${devices}-other/x`]: "PATH_NOT_ALLOWED",
    [join(devices, "link")]: "PATH_NOT_ALLOWED",
    [join(devices, "linked", "a.img")]: "PATH_NOT_ALLOWED",
    [`${path}/below`]: "PATH_NOT_ALLOWED",
    [`${devices}/../secret`]: "INVALID_FIELD",
    [`${devices}//sub/a.img`]: "INVALID_FIELD",
    [join(devices, "none")]: "FILE_NOT_FOUND",
    [join(devices, "sub")]: "INVALID_FIELD",
  };
  for (const [asked, reason] of Object.entries(reasons))
    await assert.rejects(disks.inspect({ path: asked, readOnly: true }), { reason }, asked);
  await assert.rejects(new HostDisks([]).inspect({ path, readOnly: true }), { reason: "PATH_NOT_ALLOWED" });
});

test("a character device, a FIFO and an image with an incomplete sector are refused with the reason", async (t) => {
  const { devices, path, disks } = fixture(t);
  const inDev = new HostDisks(["/dev"]);
  await assert.rejects(inDev.inspect({ path: "/dev/null", readOnly: true }), /character device/);
  execFileSync("mkfifo", [join(devices, "fifo")]);
  await assert.rejects(
    disks.inspect({ path: join(devices, "fifo"), readOnly: true }),
    /neither a block device nor an image/,
  );
  truncateSync(path, 1000);
  await assert.rejects(disks.inspect({ path, readOnly: true }), /multiple of 512 bytes, not 1000/);
});

test("a file that was replaced after its inspection is not given to the VM", async (t) => {
  const { vm, devices, path, disks } = fixture(t);
  const source = await disks.inspect({ path, readOnly: false });
  writeFileSync(join(devices, "other"), Buffer.alloc(512));
  renameSync(join(devices, "other"), path);
  await assert.rejects(disks.acquire(vm, { source, target: 1 }, UID), { reason: "HOST_REFUSED" });
  assert.deepEqual(readdirSync(vm.dir), []);
});

test("a block device of the host is found with its size, and refused while it is mounted", async (t) => {
  const { vm, devices, path, disks } = fixture(t);
  truncateSync(path, 1024 * 1024);
  execFileSync("mke2fs", ["-q", "-F", path]);
  const loop = execFileSync("losetup", ["--show", "--find", path], { encoding: "utf8" }).trim();
  using cleanUp = new DisposableStack();
  cleanUp.defer(() => execFileSync("losetup", ["--detach", loop]));
  const number = deviceNumber(statSync(loop, { bigint: true }).rdev);
  const node = join(devices, "block");
  execFileSync("mknod", [node, "b", ...number.split(":")]);
  const source = await disks.inspect({ path: node, readOnly: false });
  assert.deepEqual([source.identity, source.sizeBytes], [`block ${number}`, 1024 * 1024]);
  await disks.acquire(vm, { source, target: 2 }, UID);
  assert.equal(deviceNumber(statSync(join(vm.dir, "disk2"), { bigint: true }).rdev), number);
  const place = join(devices, "mounted");
  mkdirSync(place);
  execFileSync("mount", [node, place]);
  cleanUp.defer(() => execFileSync("umount", [place]));
  await assert.rejects(disks.inspect({ path: node, readOnly: true }), { reason: "DEVICE_IN_USE" });
});
