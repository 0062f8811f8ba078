import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeApi } from "@paddock/client/testing";
import { PaddockError } from "@paddock/domain";
import { type AddDeviceRequest, type RemoveDeviceRequest, SandboxService } from "@paddock/protocol";
import { fakeSandbox, serveSandboxes } from "../testing/fake-sandbox.ts";
import { cli } from "../testing/run-in-process.ts";

async function fixture() {
  const api = await FakeApi.start();
  serveSandboxes(api, [fakeSandbox("web", ["main", "side"]), fakeSandbox("db")]);
  const added: AddDeviceRequest[] = [];
  const removed: RemoveDeviceRequest[] = [];
  const { method } = SandboxService;
  api.unary(method.addDevice, (request) => {
    added.push(request);
    const { device } = request;
    return device === undefined ? {} : { device: { ...device, sizeBytes: 1024n * 1024n } };
  });
  api.unary(method.listDevices, ({ sandboxId }) => ({
    devices:
      sandboxId === "db"
        ? []
        : [
            {
              deviceId: "data",
              source: { case: "hostDevice" as const, value: { path: "/dev/sdb", readOnly: true } },
              containerId: "main",
              containerPath: "/dev/data",
              sizeBytes: 1024n * 1024n,
            },
          ],
  }));
  api.unary(method.removeDevice, (request) => {
    removed.push(request);
    if (!request.force) throw new PaddockError("DEVICE_BUSY", "a process has it open");
    return {};
  });
  const run = (...words: string[]) => cli(api, ["device", ...words]);
  return { added, removed, run, [Symbol.asyncDispose]: () => api[Symbol.asyncDispose]() };
}

const ROW = ["web", "data", "/dev/sdb", "ro", "1.00MiB", "main", "/dev/data"];
const rowsOf = (table: string) =>
  table
    .trimEnd()
    .split("\n")
    .map((line) => line.split(/ {3,}/));

test("device add asks for the device with owner, mode and path, in the only or the main container", async () => {
  await using f = await fixture();
  const words = ["/dev/sdb", "--id", "data", "--path", "/dev/data", "--read-only"];
  const { out, code } = await f.run("add", "web", ...words, "--mode", "0600", "--uid", "7", "--gid", "8");
  assert.deepEqual([code, rowsOf(out)[1]], [0, ROW]);
  const { device } = f.added[0] ?? assert.fail("nothing was asked");
  assert.deepEqual(device?.source, {
    case: "hostDevice",
    value: { ...device?.source.value, path: "/dev/sdb", readOnly: true },
  });
  assert.deepEqual([device?.containerId, device?.mode, device?.uid, device?.gid], ["main", 0o600, 7, 8]);
  await f.run("add", "web/side", "/dev/sdb");
  await f.run("add", "web", "/dev/sdb", "--guest-only");
  assert.deepEqual(
    f.added.slice(1).map((each) => each.device?.containerId),
    ["side", ""],
  );
});

test("device ls lists the devices of all or of some sandboxes", async () => {
  await using f = await fixture();
  const heading = ["SANDBOX", "DEVICE", "SOURCE", "ACCESS", "SIZE", "CONTAINER", "PATH"];
  assert.deepEqual(rowsOf((await f.run("ls")).out), [heading, ROW]);
  assert.equal((await f.run("ls", "-q")).out, "web/data\n");
  assert.deepEqual(rowsOf((await f.run("ls", "db")).out), [heading]);
  const [first] = JSON.parse((await f.run("ls", "-o", "json")).out);
  assert.deepEqual([first.sandboxId, first.device.deviceId], ["web", "data"]);
});

test("device rm removes a device, and one that the guest uses only with --force", async () => {
  await using f = await fixture();
  const busy = await f.run("rm", "web/data");
  assert.deepEqual([busy.code, busy.out], [1, ""]);
  assert.match(busy.err, /a process has it open/);
  assert.equal((await f.run("rm", "web", "data", "--force")).out, "web/data\n");
  assert.deepEqual(
    f.removed.map(({ deviceId, force }) => [deviceId, force]),
    [
      ["data", false],
      ["data", true],
    ],
  );
});

test("device commands refuse words that mean nothing", async () => {
  await using f = await fixture();
  for (const words of [
    ["add", "web", "/dev/sdb", "--mode", "0999"],
    ["add", "web", "/dev/sdb", "--uid", "root"],
    ["add", "web/main", "/dev/sdb", "--guest-only"],
    ["rm", "web"],
    ["rm", "web/data", "data"],
  ])
    assert.equal((await f.run(...words)).code, 2, words.join(" "));
  assert.deepEqual([f.added, f.removed], [[], []]);
});
