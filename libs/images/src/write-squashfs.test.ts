import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { access } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { packTar } from "./pack-tar.ts";
import { readTar } from "./tar-reader.ts";
import { stream } from "./testing/build-archive.ts";
import { listSquashfs } from "./testing/inspect-squashfs.ts";
import { temporaryDirectory, temporaryStore } from "./testing/temporary-store.ts";
import { writeSquashfs } from "./write-squashfs.ts";

const plain = { mode: 0o644, uid: 0, gid: 0, mtime: 0 };
const root = { ...plain, mode: 0o1751, xattrs: new Map<string, string>() };

function options(path: string) {
  return { path, root, newestMtime: 0, signal: new AbortController().signal };
}

/** Extended attributes of a file in a squashfs file, from GNU tar after unsquashfs unpacked it. */
async function xattrsOf(t: TestContext, squashfs: string, name: string) {
  const out = join(await temporaryDirectory(t), "out");
  await promisify(execFile)("unsquashfs", ["-quiet", "-no-progress", "-d", out, squashfs]);
  const { stdout } = await promisify(execFile)(
    "tar",
    ["-C", out, "--format=pax", "--xattrs", "--xattrs-include=*", "-cf", "-", name],
    { encoding: "buffer" },
  );
  for await (const { xattrs } of readTar(stream(stdout), { requireEndMarker: true })) return xattrs;
  return assert.fail("no entry");
}

test("capabilities and user attributes reach the squashfs unchanged; attributes that could control an overlay are dropped", async (t) => {
  const { store } = await temporaryStore(t);
  const capability = "\x01\x00\x00\x02\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";
  const kept = new Map([
    ["security.capability", capability],
    ["user.binary", "\xff\n=\x00end"],
  ]);
  const steering = [
    ["trusted.overlay.redirect", "/etc"],
    ["user.overlay.opaque", "y"],
    ["security.selinux", "label"],
  ] as const;
  const xattrs = new Map([...kept, ...steering]);
  const rootfs = packTar([{ ...plain, type: "file", path: "tool", content: Buffer.from("x"), xattrs }]);
  const record = await store.importStream(rootfs);
  assert.deepEqual(await xattrsOf(t, store.blobPath(record), "tool"), kept);
});

test("the root directory has the mode from the image", async (t) => {
  const path = join(await temporaryDirectory(t), "x.squashfs");
  await writeSquashfs(packTar([{ ...plain, type: "fifo", path: "pipe" }]), options(path));
  const { stdout } = await promisify(execFile)("unsquashfs", ["-lln", path]);
  assert.match(stdout, /^drwxr-x--t 0\/0 .* squashfs-root$/m);
  assert.deepEqual(await listSquashfs(path), ["prw-r--r-- 0/0 pipe"]);
});

test("owner ids beyond the range of ustar are kept", async (t) => {
  const path = join(await temporaryDirectory(t), "x.squashfs");
  const owned = { ...plain, type: "directory", path: "d", uid: 0xfffffffe, gid: 3_000_000 } as const;
  await writeSquashfs(packTar([owned]), options(path));
  assert.deepEqual(await listSquashfs(path), ["drw-r--r-- 4294967294/3000000 d"]);
});

test("an error of the source is passed on, and mksquashfs ends", async (t) => {
  const directory = await temporaryDirectory(t);
  const failing = async function* (): AsyncGenerator<Buffer> {
    for await (const part of packTar([{ ...plain, type: "directory", path: "d" }])) yield part;
    throw new Error("the disk broke");
  };
  await assert.rejects(writeSquashfs(failing(), options(join(directory, "x.squashfs"))), /the disk broke/);
});

test("the error has the output of mksquashfs", async (t) => {
  const path = join(await temporaryDirectory(t), "missing", "x.squashfs");
  const tar = packTar([{ ...plain, type: "directory", path: "d" }]);
  await assert.rejects(
    writeSquashfs(tar, options(path)),
    /mksquashfs could not write the image: .*No such file/,
  );
  await assert.rejects(access(path), { code: "ENOENT" });
});
