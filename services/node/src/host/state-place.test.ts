import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type TestContext, test } from "node:test";
import { vmsDir } from "../vm/vm-paths.ts";
import { requireReachable, requireShortPath } from "./state-place.ts";

const privileges = { user: { uid: 64_996, gid: 64_996, groups: [] } };

/** A state directory below one that only its owner may enter, like one of `mktemp -d`. */
function place(t: TestContext) {
  const above = mkdtempSync(join(tmpdir(), "state-place-"));
  t.after(() => rmSync(above, { recursive: true, force: true }));
  const stateDir = join(above, "state");
  mkdirSync(vmsDir(stateDir), { recursive: true, mode: 0o711 });
  const kernel = join(stateDir, "kernel");
  writeFileSync(kernel, "", { mode: 0o444 });
  return { above, stateDir, guest: { kernel, initramfs: kernel } };
}

test("a directory above the state that QEMU's user cannot enter is named, with the remedy", async (t) => {
  const { above, stateDir, guest } = place(t);
  const mend = new RegExp(
    `uid 64996\\) cannot enter ${above},.*chmod o\\+x it, or choose another PADDOCK_STATE_DIR`,
  );
  await assert.rejects(requireReachable(stateDir, guest, privileges), { name: "UnfitHost", message: mend });
  const linked = `${above}-link`;
  symlinkSync(above, linked);
  t.after(() => rmSync(linked));
  const through = { kernel: join(linked, "state/kernel"), initramfs: guest.initramfs };
  await assert.rejects(requireReachable(join(linked, "state"), through, privileges), { message: mend });
  chmodSync(above, 0o711);
  await requireReachable(stateDir, guest, privileges);
});

test("a guest that QEMU's user cannot read and a closed directory of VMs are named", async (t) => {
  const { above, stateDir, guest } = place(t);
  chmodSync(above, 0o711);
  chmodSync(guest.kernel, 0o400);
  await assert.rejects(requireReachable(stateDir, guest, privileges), { message: /cannot read .*kernel/ });
  chmodSync(guest.kernel, 0o444);
  chmodSync(vmsDir(stateDir), 0o700);
  await assert.rejects(requireReachable(stateDir, guest, privileges), {
    message: /cannot enter .*vms/,
  });
});

test("a path that is one byte too long for sockets is refused", () => {
  const room = 107 - "/vms/0123456789abcdef/agent.sock".length;
  requireShortPath(`/${"x".repeat(room - 1)}`);
  assert.throws(() => requireShortPath(`/${"x".repeat(room)}`), {
    name: "UnfitHost",
    message: new RegExp(`path of ${room + 1} bytes, of which sockets leave room for ${room};`),
  });
});

test("the daemon exits with 78 and the reason, before it does anything else", (t) => {
  const { stateDir } = place(t);
  const secret = join(stateDir, "stream.secret");
  writeFileSync(secret, "s".repeat(32), { mode: 0o600 });
  const env = {
    PATH: process.env.PATH,
    PADDOCK_STREAM_SECRET_FILE: secret,
    PADDOCK_STATE_DIR: stateDir,
    PADDOCK_ACCELERATOR: "tcg",
    PADDOCK_GUEST_DIR: guestIn(stateDir),
  };
  const main = resolve(import.meta.dirname, "../main.ts");
  const { status, stdout, stderr } = spawnSync(process.execPath, [main], { env, timeout: 60_000 });
  assert.equal(status, 78, `${stdout}${stderr}`);
  assert.match(`${stdout}${stderr}`, /cannot enter .*chmod o\+x it/);
});

/** The smallest guest that can be installed. */
function guestIn(dir: string): string {
  const guestDir = join(dir, "out");
  mkdirSync(guestDir);
  const EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  const files = { vmlinux: { sha256: EMPTY }, initramfs: { sha256: EMPTY } };
  for (const name of Object.keys(files)) writeFileSync(join(guestDir, name), "");
  const manifest = { kernel: "vmlinux", initramfs: "initramfs", kernelRelease: "6.1", files };
  writeFileSync(join(guestDir, "manifest.json"), JSON.stringify(manifest));
  return guestDir;
}
