import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { MIB } from "@paddock/domain";
import { WritableLayers } from "../resources/writable-layers.ts";
import { makeVolumeFileSystem, VolumeFiles } from "./volume-files.ts";

const [FIRST, SECOND] = ["a".repeat(32), "b".repeat(32)];
const UID = 64_999;

let stateDir: string;
let files: VolumeFiles;

beforeEach(async () => {
  stateDir = mkdtempSync(join(tmpdir(), "volumes-"));
  const layers = await WritableLayers.open(join(stateDir, "templates"));
  const makeExt4 = (path: string, bytes: number) =>
    layers.create({ path, aside: `${path}.layer`, bytes, uid: 0 });
  files = VolumeFiles.open({ stateDir, makeFileSystem: makeVolumeFileSystem(makeExt4) });
});
afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

const path = (fileId: string) => join(stateDir, "volumes", `${fileId}.ext4`);
const debugfs = (fileId: string, request: string) =>
  execFileSync("debugfs", ["-w", "-R", request, path(fileId)], { stdio: "pipe" }).toString();
const check = (fileId: string) => execFileSync("e2fsck", ["-f", "-n", path(fileId)], { stdio: "pipe" });

test("a volume is a complete file system whose root is empty, and takes little disk space", async () => {
  for (const bytes of [16 * MIB, 1024 * MIB, 64 * 1024 * MIB]) {
    await files.create(FIRST, bytes);
    const { size, blocks, mode } = statSync(path(FIRST));
    assert.equal(size, bytes);
    assert.ok(blocks * 512 < 8 * MIB, `${blocks} blocks`);
    assert.equal(mode & 0o7777, 0o600);
    const names = debugfs(FIRST, "ls -p /")
      .split("\n")
      .map((line) => line.split("/")[5]);
    assert.deepEqual(
      names.filter((name) => name !== undefined),
      [".", ".."],
    );
    assert.equal(await files.usedBytes(FIRST), blocks * 512);
    check(FIRST);
    await files.remove(FIRST);
  }
});

test("a copy has the bytes of its source and stays as sparse, and neither changes the other", async () => {
  await files.create(FIRST, 64 * MIB);
  const content = join(stateDir, "content");
  writeFileSync(content, "hello");
  debugfs(FIRST, `write ${content} f`);
  const signal = AbortSignal.timeout(20_000);
  let asked = 0;
  const requireRoom = async () => {
    asked += 1;
  };
  const method = await files.copy(FIRST, SECOND, 96 * MIB, { signal, requireRoom });
  assert.equal(asked, method === "copy" ? 1 : 0);
  assert.equal(statSync(path(SECOND)).size, 96 * MIB);
  assert.ok((await files.usedBytes(SECOND)) < 8 * MIB);
  assert.equal(debugfs(SECOND, "cat f"), "hello");
  debugfs(FIRST, "rm f");
  assert.equal(debugfs(SECOND, "cat f"), "hello");
});

test("a copy that fails, or for which there is no room, leaves nothing", async () => {
  await files.create(FIRST, 16 * MIB);
  const gone = AbortSignal.abort(new Error("the client left"));
  const requireRoom = async () => undefined;
  const before = readdirSync(join(stateDir, "volumes"));
  const copied = await files
    .copy(FIRST, SECOND, 16 * MIB, { signal: gone, requireRoom })
    .catch(() => "failed");
  if (copied === "failed") assert.deepEqual(readdirSync(join(stateDir, "volumes")), before);
});

test("a growing file keeps its content, and is never made smaller", async () => {
  await files.create(FIRST, 16 * MIB);
  files.grow(FIRST, 32 * MIB);
  files.grow(FIRST, 8 * MIB);
  assert.equal(statSync(path(FIRST)).size, 32 * MIB);
});

test("the writer's user has the file for itself, readers can only read it, and no VM excludes another unnoticed", async () => {
  await files.create(FIRST, 16 * MIB);
  const at = (vm: string) => {
    mkdirSync(join(stateDir, vm), { recursive: true });
    return join(stateDir, vm, "volume-2.ext4");
  };
  const seen = () => {
    const { uid, mode } = statSync(path(FIRST));
    return [uid, mode & 0o777];
  };
  await files.link(FIRST, { path: at("w"), uid: UID, readOnly: false });
  await files.link(FIRST, { path: at("w"), uid: UID, readOnly: false });
  assert.deepEqual(seen(), [UID, 0o600]);
  await assert.rejects(files.link(FIRST, { path: at("r"), uid: UID + 1, readOnly: true }), {
    reason: "VOLUME_IN_USE",
  });
  rmSync(at("w"));
  for (const vm of ["r1", "r2"]) await files.link(FIRST, { path: at(vm), uid: UID + 1, readOnly: true });
  assert.deepEqual(seen(), [0, 0o444]);
  await assert.rejects(files.link(FIRST, { path: at("w"), uid: UID, readOnly: false }), {
    reason: "VOLUME_IN_USE",
  });
  assert.deepEqual(seen(), [0, 0o444]);
});

test("the start of the daemon removes files that belong to no volume", async () => {
  await files.create(FIRST, 16 * MIB);
  await files.create(SECOND, 16 * MIB);
  linkSync(path(SECOND), join(stateDir, "volumes", `${"c".repeat(32)}.new`));
  assert.deepEqual([...files.sweep(new Set([FIRST]))].sort(), [`${SECOND}.ext4`, `${"c".repeat(32)}.new`]);
  assert.deepEqual(readdirSync(join(stateDir, "volumes")), [`${FIRST}.ext4`]);
});
