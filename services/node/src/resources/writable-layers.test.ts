import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { DEFAULT_LAYER_BYTES } from "@paddock/domain";
import { WritableLayers } from "./writable-layers.ts";

const MIB = 1024 * 1024;
const UID = 64_999;
const kept = () => readdirSync(templates).sort();

const request = (path: string, bytes: number) => ({ path, aside: `${path}.new`, bytes, uid: UID });

let dir: string;
let templates: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "layers-"));
  templates = join(dir, "templates");
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test("a layer is a complete file system of its size, takes little disk space, and belongs to its user only", async () => {
  const layers = await WritableLayers.open(templates);
  const path = join(dir, "layer");
  for (const bytes of [DEFAULT_LAYER_BYTES, 4 * MIB, 4 * MIB, 5 * MIB + 1]) {
    await layers.create(request(path, bytes));
    const { size, blocks, uid, gid, mode } = statSync(path);
    assert.equal(size, Math.floor(bytes / 4096) * 4096);
    assert.ok(blocks * 512 < 2 * MIB, `${blocks} blocks`);
    assert.deepEqual([uid, gid, mode & 0o7777], [UID, UID, 0o600]);
    execFileSync("e2fsck", ["-f", "-n", path], { stdio: "pipe" });
  }
});

test("a template of the default size exists from the start, and only a few of other sizes are kept", async () => {
  const layers = await WritableLayers.open(templates);
  assert.deepEqual(kept(), [`${DEFAULT_LAYER_BYTES}.ext4`]);
  const path = join(dir, "layer");
  for (let more = 0; more < 12; more++) await layers.create(request(path, (4 + more) * MIB));
  assert.equal(statSync(path).size, 15 * MIB);
  execFileSync("e2fsck", ["-f", "-n", path], { stdio: "pipe" });
  assert.equal(kept().length, 8);
});

test("an unfinished template of a daemon that died is removed", async () => {
  mkdirSync(templates);
  writeFileSync(join(templates, "8388608.ext4.new"), "half");
  await WritableLayers.open(templates);
  assert.deepEqual(kept(), [`${DEFAULT_LAYER_BYTES}.ext4`]);
});

test("on a full disk a daemon starts but creates no layer, not even partly; with room it creates one", async () => {
  const small = join(dir, "small");
  mkdirSync(small);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", small]);
  try {
    const layers = await WritableLayers.open(join(small, "templates"));
    const path = join(small, "layer");
    await assert.rejects(layers.create(request(path, DEFAULT_LAYER_BYTES)), { reason: "NO_DISK_SPACE" });
    assert.deepEqual(readdirSync(join(small, "templates")), []);
    assert.equal(existsSync(path), false);
    execFileSync("mount", ["-o", "remount,size=8m", small]);
    await layers.create(request(path, DEFAULT_LAYER_BYTES));
    assert.equal(statSync(path).size, DEFAULT_LAYER_BYTES);
  } finally {
    execFileSync("umount", [small]);
  }
});

test("a link in the place of a layer is replaced by the layer, not followed", async () => {
  const layers = await WritableLayers.open(templates);
  const [vm, victim] = [join(dir, "vm"), join(dir, "victim")];
  mkdirSync(vm);
  chownSync(vm, UID, UID);
  writeFileSync(victim, "of the host", { mode: 0o600 });
  // The first has a template, the others are created without one.
  for (const bytes of [DEFAULT_LAYER_BYTES, ...Array.from({ length: 9 }, (_, more) => (4 + more) * MIB)]) {
    const path = join(vm, "0.ext4");
    for (const plant of [
      () => symlinkSync(victim, path),
      () => linkSync(victim, path),
      () => execFileSync("mkfifo", [path]),
    ]) {
      rmSync(path, { force: true });
      plant();
      await layers.create({ path, aside: join(dir, "0.new"), bytes, uid: UID });
      const { uid, mode, nlink } = lstatSync(path);
      assert.deepEqual([uid, mode, nlink], [UID, 0o100600, 1]);
    }
  }
  const { uid, mode } = statSync(victim);
  assert.deepEqual([readFileSync(victim, "utf8"), uid, mode], ["of the host", 0, 0o100600]);
});
