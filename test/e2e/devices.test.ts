/** Image files of the node as devices of a running sandbox: seen, used, busy, kept, removed. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { exec } from "../harness/exec.ts";
import { hostSnapshot } from "../harness/host-snapshot.ts";
import { runIdle } from "../harness/sandbox.ts";
import { inSeconds, Stack } from "../harness/stack.ts";

const IMAGE_BYTES = 4 * 1024 * 1024;
const sandboxId = "s1";
/** Any program of a container with this capability may create device files. */
const MAKES_NODES = { process: { capabilities: { names: ["CAP_MKNOD", "CAP_DAC_OVERRIDE"] } } };

let stack: Stack;
const devices = mkdtempSync(join(tmpdir(), "paddock-devices-"));
const image = (name: string) => join(devices, name);
const resources = new AsyncDisposableStack();
resources.defer(() => rmSync(devices, { recursive: true, force: true }));

before(async () => {
  mkdirSync(image("sub"));
  for (const name of ["sub/data.img", "other.img"])
    writeFileSync(image(name), Buffer.alloc(IMAGE_BYTES, "-"));
  writeFileSync(`${devices}.secret`, Buffer.alloc(512));
  resources.defer(() => rmSync(`${devices}.secret`));
  symlinkSync(`${devices}.secret`, image("link"));
  stack = resources.use(await Stack.start({ PADDOCK_DEVICE_DIRECTORIES: devices }));
  await runIdle(stack, sandboxId);
});

after(() => resources.disposeAsync());

const soon = () => ({ deadline: inSeconds(60) });
const id = () => ({ requestId: randomUUID(), sandboxId });
const sh = (script: string) => exec(stack.client, ["sh", "-c", script], { sandboxId, containerId: "c1" });
const stdout = async (script: string) => (await sh(script)).stdout.trim();

const add = (deviceId: string, name: string, readOnly = false) =>
  stack.client.sandboxes.addDevice(
    {
      ...id(),
      device: {
        deviceId,
        source: { case: "hostDevice", value: { path: image(name), readOnly } },
        containerId: "c1",
        mode: 0o640,
        uid: 1000,
        gid: 1001,
      },
    },
    soon(),
  );
const remove = (deviceId: string, force = false) =>
  stack.client.sandboxes.removeDevice({ ...id(), deviceId, force }, soon());

test("an image is a device with its owner and mode, is written and read back, and leaves nothing when it is removed", async () => {
  const before = hostSnapshot(stack.stateDirectory);
  const { device } = await add("data", "sub/data.img");
  assert.deepEqual([device?.containerPath, device?.sizeBytes], ["/dev/data", BigInt(IMAGE_BYTES)]);
  assert.equal(await stdout("stat -c '%F %a %u %g' /dev/data"), "block special file 640 1000 1001");
  await sh("printf hello | dd of=/dev/data bs=512 seek=1 conv=notrunc && sync");
  assert.equal(await stdout("dd if=/dev/data bs=512 skip=1 count=1 2>/dev/null | head -c 6"), "hello-");
  const { devices: listed } = await stack.client.sandboxes.listDevices({ sandboxId });
  assert.deepEqual(
    listed.map(({ deviceId }) => deviceId),
    ["data"],
  );
  await remove("data");
  assert.equal(readFileSync(image("sub/data.img"), "latin1").slice(510, 518), "--hello-");
  assert.equal((await sh("ls /dev/data")).status.code, 1);
  assert.deepEqual(hostSnapshot(stack.stateDirectory), before);
});

test("a read-only device cannot be written to, and a container cannot open a disk that is not its own", async () => {
  await add("ro", "sub/data.img", true);
  assert.equal(await stdout("head -c 2 /dev/ro"), "--");
  assert.match((await sh("printf x | dd of=/dev/ro conv=notrunc")).stderr, /not permitted|Read-only/);
  const script = "mknod /dev/layer b 8 0 && head -c 1 /dev/layer";
  const options = { sandboxId, containerId: "c1", ...MAKES_NODES };
  const foreign = await exec(stack.client, ["sh", "-c", script], options);
  assert.match(foreign.stderr, /not permitted/);
  await remove("ro");
});

test("a device that a process has open is removed only by force, and then the process gets I/O errors", async () => {
  await add("busy", "other.img");
  await sh(
    "(exec 3</dev/busy; echo $$ >/tmp/pid; sleep 1000) </dev/null >/dev/null 2>&1 & while ! [ -s /tmp/pid ]; do :; done",
  );
  await assert.rejects(remove("busy"), /has it open/);
  assert.equal(await stdout("head -c 2 /dev/busy"), "--");
  await remove("busy", true);
  assert.equal((await sh("ls /dev/busy")).status.code, 1);
  const again = await add("busy", "other.img");
  assert.equal(again.device?.deviceId, "busy");
  await remove("busy");
});

test("a device is kept when the daemon is killed, and when the sandbox is stopped and started", async () => {
  await add("kept", "other.img");
  await sh("printf kept | dd of=/dev/kept conv=notrunc && sync");
  await stack.killNode();
  await stack.startNode();
  assert.equal(await stdout("head -c 4 /dev/kept"), "kept");
  await stack.client.sandboxes.stopSandbox(id(), soon());
  await stack.client.sandboxes.startSandbox(id(), { deadline: inSeconds(90) });
  assert.equal(await stdout("stat -c '%a %u' /dev/kept; head -c 4 /dev/kept"), "640 1000\nkept");
  await remove("kept");
});

test("paths outside of the allowed directories and through links are refused", async () => {
  for (const name of ["../paddock-x", "link", "none"]) await assert.rejects(add("bad", name));
  await assert.rejects(add("bad", "link"), { reason: "PATH_NOT_ALLOWED" });
  const { devices: listed } = await stack.client.sandboxes.listDevices({ sandboxId });
  assert.deepEqual(listed, []);
});
