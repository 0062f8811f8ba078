import assert from "node:assert/strict";
import { chmodSync, chownSync, lstatSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { endProcess, spawnQemu, waitForMonitor } from "@paddock/qemu";
import { moveFormerVms } from "../recovery/move-former-vms.ts";
import { FakeCgroups } from "../testing/fake-machines.ts";
import { QemuHost } from "./qemu-host.ts";
import { formerVmsDir, newVmId, vmPaths, vmsDir } from "./vm-paths.ts";

const UID = 64_995;
const SILENT = { level: "info", debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/**
 * A QEMU as an earlier version started it, below its sandbox's directory and with sockets that it created. It has no machine.
 */
async function earlierMachine(t: TestContext) {
  const state = mkdtempSync(join(tmpdir(), "earlier-"));
  t.after(() => rmSync(state, { recursive: true, force: true }));
  chmodSync(state, 0o711);
  const paths = vmPaths(state, newVmId());
  mkdirSync(vmsDir(state), { mode: 0o711 });
  const former = join(formerVmsDir(state), paths.id, "vm");
  mkdirSync(former, { recursive: true, mode: 0o711 });
  chownSync(former, UID, UID);
  const socket = (id: string, path: string) => [
    "-chardev",
    `socket,id=${id},path=${path},server=on,wait=off`,
  ];
  const qemu = await spawnQemu({
    binary: "qemu-system-x86_64",
    args: [
      ...["-M", "none", "-S", "-nodefaults", "-no-user-config", "-display", "none"],
      ...socket("qmp0", join(former, "qmp.sock")),
      ...["-mon", "chardev=qmp0,mode=control"],
      ...socket("agent0", join(former, "agent.sock")),
    ],
    privileges: { user: { uid: UID, gid: UID, groups: [] } },
  });
  t.after(() => endProcess(qemu.identity, { graceMs: 0 }));
  (await waitForMonitor(qemu, { path: join(former, "qmp.sock"), timeoutMs: 20_000 })).close();
  await moveFormerVms({ stateDir: state, log: SILENT });
  const host = new QemuHost({
    binary: "qemu-system-x86_64",
    accelerator: "tcg",
    cpuModel: "max",
    groups: [],
    guest: { kernel: "/none", initramfs: "/none" },
    cgroups: new FakeCgroups(),
    stateDir: state,
    freeBytes: async () => 0,
  });
  return { host, paths, identity: qemu.identity, request: { paths, uid: UID } };
}

test("a VM of an earlier version is found, taken over with its directory, and ended", async (t) => {
  const { host, paths, identity, request } = await earlierMachine(t);
  const signal = AbortSignal.timeout(30_000);
  assert.deepEqual(await host.running(), [paths.id]);
  const machine = (await host.adopt(identity, request, signal)) ?? assert.fail("it is there");
  assert.deepEqual(await machine.vcpuThreads(signal), []);
  const { uid, mode } = lstatSync(paths.dir);
  assert.deepEqual([uid, mode & 0o777], [0, 0o710]);
  machine.release();
  assert.deepEqual(await host.running(), [paths.id]);
  await host.killStrays(paths, signal);
  assert.deepEqual(await host.running(), []);
  assert.equal(await host.adopt(identity, request, signal), undefined);
});

test("a VM that has replaced its monitor by a link is not taken over, but is ended", async (t) => {
  const { host, paths, identity, request } = await earlierMachine(t);
  const signal = AbortSignal.timeout(30_000);
  rmSync(paths.qmpSocket);
  symlinkSync("/run/another.sock", paths.qmpSocket);
  await assert.rejects(host.adopt(identity, request, signal), {
    reason: "VM_UNAVAILABLE",
    message: /not the socket that the daemon created/,
  });
  await host.killStrays(paths, signal);
  assert.deepEqual(await host.running(), []);
});
