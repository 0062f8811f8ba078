import assert from "node:assert/strict";
import { chmodSync, chownSync, lstatSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { endProcess, spawnQemu, waitForMonitor } from "@paddock/qemu";
import { sandboxesDir, sandboxPaths } from "../sandboxes/sandbox-paths.ts";
import { FakeCgroups } from "../testing/fake-machines.ts";
import { QemuHost } from "./qemu-host.ts";

const UID = 64_995;

/** A QEMU as an earlier version started it: in a directory of its own, with sockets that it made. It has no machine. */
async function earlierMachine(t: TestContext) {
  const state = mkdtempSync(join(tmpdir(), "earlier-"));
  t.after(() => rmSync(state, { recursive: true, force: true }));
  chmodSync(state, 0o711);
  const paths = sandboxPaths(state, "earlier");
  mkdirSync(paths.dir, { recursive: true, mode: 0o711 });
  mkdirSync(paths.vmDir, { mode: 0o700 });
  chownSync(paths.vmDir, UID, UID);
  const socket = (id: string, path: string) => [
    "-chardev",
    `socket,id=${id},path=${path},server=on,wait=off`,
  ];
  const qemu = await spawnQemu({
    binary: "qemu-system-x86_64",
    args: [
      ...["-M", "none", "-S", "-nodefaults", "-no-user-config", "-display", "none"],
      ...socket("qmp0", paths.qmpSocket),
      ...["-mon", "chardev=qmp0,mode=control"],
      ...socket("agent0", paths.agentSocket),
    ],
    privileges: { user: { uid: UID, gid: UID, groups: [] } },
  });
  t.after(() => endProcess(qemu.identity, { graceMs: 0 }));
  (await waitForMonitor(qemu, { path: paths.qmpSocket, timeoutMs: 20_000 })).close();
  const host = new QemuHost({
    binary: "qemu-system-x86_64",
    accelerator: "tcg",
    cpuModel: "max",
    groups: [],
    guest: { kernel: "/none", initramfs: "/none", kernelRelease: "" },
    cgroups: new FakeCgroups(),
    sandboxesDir: sandboxesDir(state),
  });
  return { host, paths, identity: qemu.identity, request: { name: "earlier", paths, uid: UID } };
}

test("a VM that an earlier version started is found, taken over with its directory, and ended", async (t) => {
  const { host, paths, identity, request } = await earlierMachine(t);
  const signal = AbortSignal.timeout(30_000);
  assert.deepEqual(await host.running(), [paths.dir]);
  const machine = (await host.adopt(identity, request, signal)) ?? assert.fail("it is there");
  assert.deepEqual(await machine.vcpuThreads(signal), []);
  const { uid, mode } = lstatSync(paths.vmDir);
  assert.deepEqual([uid, mode & 0o777], [0, 0o710]);
  machine.release();
  assert.deepEqual(await host.running(), [paths.dir]);
  await host.killStrays(paths, signal);
  assert.deepEqual(await host.running(), []);
  assert.equal(await host.adopt(identity, request, signal), undefined);
});

test("a VM that has put a link in the place of its monitor is not taken over, and is ended all the same", async (t) => {
  const { host, paths, identity, request } = await earlierMachine(t);
  const signal = AbortSignal.timeout(30_000);
  rmSync(paths.qmpSocket);
  symlinkSync("/run/another.sock", paths.qmpSocket);
  await assert.rejects(host.adopt(identity, request, signal), {
    reason: "VM_UNAVAILABLE",
    message: /not the socket that was made there/,
  });
  await host.killStrays(paths, signal);
  assert.deepEqual(await host.running(), []);
});
