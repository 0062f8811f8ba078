import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { listeningSocket } from "@paddock/qemu";
import { ownVmDirectory, requireSockets, vmUserOf } from "./vm-directory.ts";
import { newVmId, vmPaths, vmsDir } from "./vm-paths.ts";

const UID = 64_997;

function place(t: TestContext) {
  const state = mkdtempSync(join(tmpdir(), "vm-dir-"));
  chmodSync(state, 0o711);
  t.after(() => rmSync(state, { recursive: true, force: true }));
  const paths = vmPaths(state, newVmId());
  mkdirSync(vmsDir(state), { mode: 0o711 });
  return paths;
}

/** Whether a shell of this user executes the script successfully. */
const succeeds = (script: string, uid = UID): boolean =>
  spawnSync("setpriv", [`--reuid=${uid}`, `--regid=${uid}`, "--clear-groups", "--", "sh", "-c", script])
    .status === 0;

test("a VM's user can open its files by name, but not list, create, remove or replace any; other users can open none", async (t) => {
  const paths = place(t);
  await ownVmDirectory(paths, UID);
  await (await listeningSocket(paths.qmpSocket))[Symbol.asyncDispose]();
  const layer = join(paths.dir, "0.ext4");
  writeFileSync(layer, "layer", { mode: 0o600 });
  chownSync(layer, UID, UID);
  assert.ok(succeeds(`cat ${layer} && echo more >>${layer}`));
  for (const attempt of [
    `ls ${paths.dir}`,
    `ln -s /etc/passwd ${join(paths.dir, "1.ext4")}`,
    `mkfifo ${join(paths.dir, "tty.sock")}`,
    `rm -f ${paths.qmpSocket}`,
    `mv ${paths.qmpSocket} ${paths.agentSocket}`,
    `rm -f ${layer}`,
    `chmod 777 ${paths.dir}`,
    `ln -s /etc ${join(dirname(paths.dir), "x")}`,
  ])
    assert.equal(succeeds(attempt), false, attempt);
  assert.equal(succeeds(`cat ${layer}`, UID + 1), false, "another VM's user");
  assert.equal(await vmUserOf(paths), UID);
});

test("a directory that an earlier version gave to the VM's user is taken over, and shows the VM's user before and after", async (t) => {
  const paths = place(t);
  mkdirSync(paths.dir, { mode: 0o700 });
  chownSync(paths.dir, UID, UID);
  assert.equal(await vmUserOf(paths), UID);
  await ownVmDirectory(paths, UID);
  const { uid, gid, mode } = lstatSync(paths.dir);
  assert.deepEqual([uid, gid, mode & 0o7777], [process.getuid?.(), UID, 0o710]);
  assert.equal(await vmUserOf(paths), UID);
});

test("a link in place of the directory is not followed", async (t) => {
  const paths = place(t);
  const victim = join(dirname(paths.dir), "victim");
  mkdirSync(victim, { mode: 0o700 });
  symlinkSync(victim, paths.dir);
  await assert.rejects(ownVmDirectory(paths, UID));
  assert.deepEqual([lstatSync(victim).gid, lstatSync(victim).mode & 0o777], [0, 0o700]);
});

test("only sockets of the daemon, or of QEMU in an earlier version, are accepted", async (t) => {
  const paths = place(t);
  await ownVmDirectory(paths, UID);
  await requireSockets(paths, UID);
  await (await listeningSocket(paths.qmpSocket))[Symbol.asyncDispose]();
  await (await listeningSocket(paths.agentSocket))[Symbol.asyncDispose]();
  chownSync(paths.agentSocket, UID, UID);
  await requireSockets(paths, UID);
  const other = createServer().listen(join(dirname(paths.dir), "other.sock"));
  t.after(() => other.close());
  for (const plant of [
    () => symlinkSync(join(dirname(paths.dir), "other.sock"), paths.agentSocket),
    () => spawnSync("mkfifo", [paths.agentSocket]),
    () => spawnSync("ln", [join(dirname(paths.dir), "other.sock"), paths.agentSocket]),
    () => writeFileSync(paths.agentSocket, ""),
  ]) {
    rmSync(paths.agentSocket, { force: true });
    plant();
    await assert.rejects(requireSockets(paths, UID), { reason: "VM_UNAVAILABLE" });
  }
});
