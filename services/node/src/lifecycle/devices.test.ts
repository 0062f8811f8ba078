import assert from "node:assert/strict";
import { test } from "node:test";
import type { MessageInitShape } from "@bufbuild/protobuf";

import { type DeviceSchema, fromStatus } from "@paddock/protocol";
import { errorOf } from "../testing/networked-node.ts";
import { sandboxIn, TestNode } from "../testing/test-node.ts";

type Wanted = MessageInitShape<typeof DeviceSchema>;

const containers = [{ containerId: "c1", image: "tiny" }];

/** A node with the running sandbox "s1". */
async function running(): Promise<TestNode> {
  const node = await TestNode.start();
  sandboxIn(await node.ask({ case: "createSandbox", value: { spec: { containers } } }));
  sandboxIn(await node.ask({ case: "startSandbox", value: {} }));
  return node;
}

const image = (path = "/devices/a.img", readOnly = false) =>
  ({ case: "hostDevice", value: { path, readOnly } }) as const;

const DATA: Wanted = { deviceId: "data", containerId: "c1", source: image() };

const addition = (device: Wanted = DATA) => ({ case: "addDevice", value: { device } }) as const;
const removal = (deviceId = "data", force = false) =>
  ({ case: "removeDevice", value: { deviceId, force } }) as const;

async function add(node: TestNode, device: Wanted = DATA, sandboxId = "s1") {
  const outcome = await node.ask(addition(device), { sandboxId });
  assert.ok(outcome.case === "addDevice", errorOf(outcome));
  return outcome.value.device ?? assert.fail("no device");
}

async function remove(node: TestNode, deviceId = "data"): Promise<void> {
  const outcome = await node.ask(removal(deviceId));
  assert.equal(outcome.case, "removeDevice", errorOf(outcome));
}

async function refused(
  node: TestNode,
  command: ReturnType<typeof addition> | ReturnType<typeof removal>,
  sandboxId = "s1",
) {
  const outcome = await node.ask(command, { sandboxId });
  assert.ok(outcome.case === "error", outcome.case);
  return fromStatus(outcome.value).reason;
}

/** The devices everywhere: on the host, in the VM, in the guest and in the record. */
async function everywhere(node: TestNode) {
  const listed = await node.ask({ case: "listDevices", value: {} });
  assert.ok(listed.case === "listDevices", errorOf(listed));
  return {
    host: [...node.disks.acquired].map((each) => each.slice("0123456789abcdef ".length)),
    vm: [...node.machines.only.devices.keys()].filter((id) => id.startsWith("device")),
    guest: [...node.guest.devices].map(([name, target]) => `${name} ${target}`),
    listed: listed.value.devices.map(({ deviceId }) => deviceId),
    operations: node.operations(),
  };
}

const NONE = { host: [], vm: [], guest: [], listed: [], operations: [] };
const WITH_DATA = {
  host: ["2 file 1:1 10"],
  vm: ["device2"],
  guest: ["c1 /dev/data 2"],
  listed: ["data"],
  operations: [],
};

test("adding and removing a device repeatedly leaves everything as before, and a repeated request adds one", async () => {
  await using node = await running();
  for (let round = 0; round < 5; round++) {
    const device = await add(node);
    assert.deepEqual([device.containerPath, device.mode, device.sizeBytes], ["/dev/data", 0o660, 1024n]);
    assert.deepEqual(await everywhere(node), WITH_DATA);
    await remove(node);
    assert.deepEqual(await everywhere(node), NONE);
  }
  const requestId = "r-add";
  for (let time = 0; time < 2; time++)
    assert.equal((await node.ask(addition(), { requestId })).case, "addDevice");
  assert.deepEqual(await everywhere(node), WITH_DATA);
});

test("a device is kept across a crash, a restart of its container, and a stop and a start", async () => {
  await using node = await running();
  await add(node);
  await node.crash();
  assert.deepEqual(await everywhere(node), WITH_DATA);
  node.guest.end("c1", { code: 0 });
  node.guest.devices.clear();
  assert.equal(
    (await node.ask({ case: "stopContainer", value: { containerId: "c1" } })).case,
    "stopContainer",
  );
  assert.equal(
    (await node.ask({ case: "startContainer", value: { containerId: "c1" } })).case,
    "startContainer",
  );
  assert.deepEqual(await everywhere(node), WITH_DATA);
  sandboxIn(await node.ask({ case: "stopSandbox", value: {} }));
  assert.equal(node.disks.acquired.size, 0);
  node.guest.reboot();
  node.disks.files.set("/devices/a.img", "file 1:1 99");
  sandboxIn(await node.ask({ case: "startSandbox", value: {} }));
  assert.deepEqual(await everywhere(node), { ...WITH_DATA, host: ["2 file 1:1 99"] });
  assert.equal((await node.ask({ case: "deleteSandbox", value: { force: true } })).case, "deleteSandbox");
  assert.deepEqual(node.leftovers(), []);
});

test("devices with the same source are one disk, which stays until the last one is removed", async () => {
  await using node = await running();
  await add(node);
  await add(node, { ...DATA, deviceId: "again" });
  const { host, vm, guest } = await everywhere(node);
  assert.deepEqual([host, vm, guest], [WITH_DATA.host, WITH_DATA.vm, ["c1 /dev/data 2", "c1 /dev/again 2"]]);
  assert.equal(
    await refused(node, addition({ ...DATA, deviceId: "ro", source: image(undefined, true) })),
    "DEVICE_IN_USE",
  );
  await remove(node);
  assert.deepEqual((await everywhere(node)).vm, ["device2"]);
  await remove(node, "again");
  assert.deepEqual(await everywhere(node), NONE);
});

test("a device of another sandbox is refused, also of a stopped one, unless both only read", async () => {
  await using node = await running();
  sandboxIn(await node.ask({ case: "createSandbox", value: { spec: { containers } } }, { sandboxId: "s2" }));
  await add(node);
  assert.equal(await refused(node, addition(), "s2"), "DEVICE_IN_USE");
  await add(node, { deviceId: "part", source: image("/devices/sdb1") });
  assert.equal(await refused(node, addition({ source: image("/devices/sdb", true) }), "s2"), "DEVICE_IN_USE");
  const shared: Wanted = { deviceId: "shared", source: image("/devices/b.img", true) };
  await add(node, shared);
  await add(node, shared, "s2");
  sandboxIn(await node.ask({ case: "stopSandbox", value: {} }));
  const alone: Wanted = { deviceId: "data", source: image() };
  assert.equal(await refused(node, addition(alone), "s2"), "DEVICE_IN_USE");
  await remove(node);
  await add(node, alone, "s2");
});

test("ids, paths and containers of a request are checked before anything changes", async () => {
  await using node = await running();
  await add(node);
  for (const [device, reason] of [
    [DATA, "DEVICE_EXISTS"],
    [
      { ...DATA, deviceId: "b", containerPath: "/dev//./data", source: image("/devices/b.img") },
      "DEVICE_EXISTS",
    ],
    [{ ...DATA, deviceId: "b", containerId: "c2" }, "CONTAINER_NOT_FOUND"],
    [{ ...DATA, deviceId: "b", containerPath: "/dev/../etc" }, "INVALID_FIELD"],
    [{ deviceId: "b", containerPath: "/dev/x", source: image() }, "INVALID_FIELD"],
    [{ ...DATA, deviceId: "b", source: image("/devices/none") }, "FILE_NOT_FOUND"],
    [
      { ...DATA, deviceId: "b", containerPath: "/dev/null", source: image("/devices/b.img") },
      "DEVICE_EXISTS",
    ],
    [{ ...DATA, deviceId: "b", source: { case: "volume", value: { name: "v" } } }, "NOT_IMPLEMENTED"],
  ] as const satisfies readonly (readonly [Wanted, string])[])
    assert.equal(await refused(node, addition(device)), reason, JSON.stringify(device.deviceId));
  assert.deepEqual(await everywhere(node), WITH_DATA);
  assert.equal(await refused(node, removal("none")), "DEVICE_NOT_FOUND");
});

test("a device that the guest uses is not removed and keeps its file, and force removes it", async () => {
  await using node = await running();
  await add(node);
  node.guest.busyDisks.add(2);
  assert.equal(await refused(node, removal()), "DEVICE_BUSY");
  assert.deepEqual(await everywhere(node), WITH_DATA);
  assert.equal((await node.ask(removal("data", true))).case, "removeDevice");
  assert.deepEqual(await everywhere(node), NONE);
});

test("a sandbox whose device is gone does not start until the device is back or removed", async () => {
  await using node = await running();
  await add(node);
  sandboxIn(await node.ask({ case: "stopSandbox", value: {} }));
  node.guest.reboot();
  node.disks.files.delete("/devices/a.img");
  const outcome = await node.ask({ case: "startSandbox", value: {} });
  assert.match(errorOf(outcome), /device data: the node has no file/);
  await remove(node);
  sandboxIn(await node.ask({ case: "startSandbox", value: {} }));
  assert.deepEqual(await everywhere(node), NONE);
});

type Break = (node: TestNode, work: () => Promise<void>) => void;

const inGuest =
  (call: string): Break =>
  (node, work) => {
    node.guest.onCall = async (name) => {
      if (name === call) await work();
    };
  };

/** The faults of an addition and of a removal, by step. */
const ADDITION: Readonly<Record<string, Break>> = {
  "host-disk": (node, work) => {
    node.disks.onAcquire = work;
  },
  disk: (node, work) => {
    node.machines.onAttach = work;
  },
  "container-device": inGuest("addContainerDevice"),
};
const REMOVAL: Readonly<Record<string, Break>> = {
  "container-device": inGuest("removeContainerDevice"),
  "guest-disk": inGuest("releaseDisk"),
  disk: (node, work) => {
    node.machines.onDetach = work;
  },
  "host-disk": (node, work) => {
    node.disks.onRelease = work;
  },
};

function heal(node: TestNode): void {
  for (const breakIt of [...Object.values(ADDITION), ...Object.values(REMOVAL)])
    breakIt(node, async () => undefined);
}

const broken = async () => {
  throw new Error("it broke");
};

async function dieIn(node: TestNode, breakIt: Break, call: () => Promise<unknown>) {
  const reached = Promise.withResolvers<void>();
  breakIt(node, () => {
    reached.resolve();
    return node.forever;
  });
  void call();
  await reached.promise;
  heal(node);
  assert.equal((await node.crash()).failed, 0);
}

for (const [step, breakIt] of Object.entries(ADDITION)) {
  test(`when step ${step} of an addition fails, everything is as before`, async () => {
    await using node = await running();
    breakIt(node, broken);
    assert.equal((await node.ask(addition())).case, "error");
    heal(node);
    assert.deepEqual(await everywhere(node), NONE);
    await add(node);
    assert.deepEqual(await everywhere(node), WITH_DATA);
  });

  test(`when the daemon dies in step ${step} of an addition, the next one undoes it`, async () => {
    await using node = await running();
    await dieIn(node, breakIt, () => node.ask(addition()));
    assert.deepEqual(await everywhere(node), NONE);
  });
}

for (const [step, breakIt] of Object.entries(REMOVAL))
  test(`when the daemon dies in step ${step} of a removal, the next one finishes it`, async () => {
    await using node = await running();
    await add(node);
    const requestId = "r-remove";
    await dieIn(node, breakIt, () => node.ask(removal(), { requestId }));
    assert.deepEqual(await everywhere(node), NONE);
    assert.equal((await node.ask(removal(), { requestId })).case, "removeDevice");
  });

test("a removal that fails after the guest's release is finished by a repeat, and one that the guest uses by nobody", async () => {
  await using node = await running();
  await add(node);
  REMOVAL.disk?.(node, broken);
  assert.equal((await node.ask(removal())).case, "error");
  assert.deepEqual(node.operations(), ["s1 remove-device"]);
  heal(node);
  await remove(node);
  assert.deepEqual(await everywhere(node), NONE);
  await add(node);
  node.guest.busyDisks.add(2);
  await dieIn(node, inGuest("releaseDisk"), () => node.ask(removal()));
  assert.deepEqual(await everywhere(node), WITH_DATA);
});
