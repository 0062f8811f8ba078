import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { installGuestFiles } from "./guest-files.ts";

async function directories(t: TestContext) {
  const root = await mkdtemp(join(tmpdir(), "guest-files-"));
  t.after(() => rm(root, { recursive: true, force: true }));
  const guestDir = join(root, "out");
  const stateDir = join(root, "state");
  await Promise.all([guestDir, stateDir].map((path) => mkdir(path)));
  return { guestDir, stateDir };
}

async function build(
  guestDir: string,
  kernel: string,
  sha256 = createHash("sha256").update(kernel).digest("hex"),
) {
  const initramfs = createHash("sha256").update("initramfs").digest("hex");
  await writeFile(join(guestDir, "vmlinux"), kernel, { mode: 0o600 });
  await writeFile(join(guestDir, "initramfs.cpio"), "initramfs", { mode: 0o600 });
  const files = { vmlinux: { sha256 }, "initramfs.cpio": { sha256: initramfs } };
  const manifest = { kernel: "vmlinux", initramfs: "initramfs.cpio", kernelRelease: "6.1", files };
  await writeFile(join(guestDir, "manifest.json"), JSON.stringify(manifest));
}

test("the guest is copied once, readable by everyone, and an older copy is removed", async (t) => {
  const { guestDir, stateDir } = await directories(t);
  await build(guestDir, "one");
  const first = await installGuestFiles(guestDir, stateDir);
  assert.equal(await readFile(first.kernel, "utf8"), "one");
  assert.equal((await stat(first.kernel)).mode & 0o777, 0o444);
  const { mtimeMs } = await stat(first.kernel);
  assert.deepEqual(await installGuestFiles(guestDir, stateDir), first);
  assert.equal((await stat(first.kernel)).mtimeMs, mtimeMs);
  await build(guestDir, "two");
  const second = await installGuestFiles(guestDir, stateDir);
  assert.equal(await readFile(second.kernel, "utf8"), "two");
  assert.equal((await readdir(join(stateDir, "guest"))).length, 2);
});

test("a file that does not match the manifest is refused, and no copy is left", async (t) => {
  const { guestDir, stateDir } = await directories(t);
  await build(guestDir, "one", "0".repeat(64));
  await assert.rejects(installGuestFiles(guestDir, stateDir), /does not match its manifest/);
  assert.deepEqual(await readdir(join(stateDir, "guest")), []);
});

test("a directory without a guest is refused with a hint", async (t) => {
  const { guestDir, stateDir } = await directories(t);
  await assert.rejects(installGuestFiles(guestDir, stateDir), /has no guest to boot; build it with/);
});
