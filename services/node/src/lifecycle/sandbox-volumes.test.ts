import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { agentpb, ContainerResourcesSchema, fromStatus } from "@paddock/protocol";
import { guestRefusal } from "../testing/guest-refusal.ts";
import { sandboxIn, TestNode } from "../testing/test-node.ts";
import {
  containerWith,
  files,
  get,
  linksOf,
  make,
  mountOf,
  reasonOf,
  remove,
  removeSandbox,
  sandboxWith,
  volumeIn,
} from "../testing/volume-calls.ts";

test("of two sandboxes that race for one writer exactly one wins, in each of 200 rounds", async () => {
  await using node = await TestNode.start();
  volumeIn(await make(node, "data"));
  for (let round = 0; round < 200; round++) {
    const outcomes = await Promise.all(
      ["x", "y"].map((id) => sandboxWith(node, id, mountOf("data", false), mountOf("data", round % 2 === 0))),
    );
    assert.deepEqual(outcomes.map(reasonOf).sort(), ["VOLUME_IN_USE", "accepted"]);
    const users = volumeIn(await get(node, "data")).users.map(({ sandboxId }) => sandboxId);
    assert.equal(users.length, 1);
    for (const id of users) assert.equal(reasonOf(await removeSandbox(node, id)), "accepted");
    assert.deepEqual(volumeIn(await get(node, "data")).users, []);
  }
});

test("many sandboxes read a volume, none can then write, and a refusal names the users", async () => {
  await using node = await TestNode.start();
  volumeIn(await make(node, "data"));
  for (const id of ["r1", "r2"]) sandboxIn(await sandboxWith(node, id, mountOf("data", true)));
  const refused = await sandboxWith(node, "w", mountOf("data"));
  assert.ok(refused.case === "error");
  const { reason, metadata } = fromStatus(refused.value);
  assert.deepEqual([reason, metadata.readers, metadata.writers], ["VOLUME_IN_USE", "r1,r2", ""]);
  assert.equal(reasonOf(await remove(node, "data")), "VOLUME_IN_USE");
  for (const id of ["r1", "r2"]) {
    const entry = node.context.sandboxes.require(id);
    const [link = assert.fail("no link")] = linksOf(node, id);
    const { mode, uid } = statSync(join(entry.vmPaths.dir, link));
    assert.deepEqual([mode & 0o777, uid], [0o444, process.getuid?.()]);
    await removeSandbox(node, id);
  }
  sandboxIn(await sandboxWith(node, "w", mountOf("data")));
  assert.deepEqual(
    volumeIn(await get(node, "data")).users.map(({ sandboxId, readOnly }) => [sandboxId, readOnly]),
    [["w", false]],
  );
});

test("a sandbox uses its volumes also while it is stopped, across a crash, and gets a link again when it boots", async () => {
  await using node = await TestNode.start();
  volumeIn(await make(node, "data"));
  sandboxIn(await sandboxWith(node, "s1", mountOf("data")));
  assert.deepEqual(linksOf(node, "s1"), ["volume-2.ext4"]);
  assert.deepEqual(
    [...node.machines.only.devices.values()].map((device) => [
      device.id,
      "readOnly" in device && device.readOnly,
    ]),
    [
      ["image0", true],
      ["layer0", false],
      ["volume2", false],
    ],
  );
  await node.ask({ case: "stopSandbox", value: { force: true } });
  assert.deepEqual(linksOf(node, "s1"), []);
  await node.crash();
  assert.equal(reasonOf(await sandboxWith(node, "s2", mountOf("data", true))), "VOLUME_IN_USE");
  assert.equal(reasonOf(await remove(node, "data")), "VOLUME_IN_USE");
  node.guest.reboot();
  sandboxIn(await node.ask({ case: "startSandbox", value: {} }));
  assert.deepEqual(linksOf(node, "s1"), ["volume-2.ext4"]);
  await removeSandbox(node, "s1");
  assert.equal(reasonOf(await remove(node, "data")), "accepted");
  assert.deepEqual([files(node), node.leftovers()], [[], []]);
});

test("containers of a sandbox share one disk of a volume, which is released with the last of them", async () => {
  await using node = await TestNode.start();
  volumeIn(await make(node, "data"));
  sandboxIn(await sandboxWith(node, "s1"));
  const add = (id: string, readOnly: boolean) =>
    node.ask({ case: "createContainer", value: { spec: containerWith(id, mountOf("data", readOnly)) } });
  const drop = (containerId: string) => node.ask({ case: "deleteContainer", value: { containerId } });
  assert.equal(reasonOf(await add("c2", false)), "accepted");
  assert.equal(reasonOf(await add("c3", true)), "accepted");
  const targets = [...node.machines.only.devices.values()].filter(({ id }) => id.startsWith("volume"));
  assert.equal(targets.length, 1);
  assert.equal(reasonOf(await drop("c2")), "accepted");
  assert.deepEqual(volumeIn(await get(node, "data")).users.length, 1);
  assert.equal(reasonOf(await drop("c3")), "accepted");
  assert.equal(node.guest.released.length, 1);
  assert.deepEqual([volumeIn(await get(node, "data")).users, linksOf(node, "s1")], [[], []]);
  assert.ok(![...node.machines.only.devices.keys()].some((id) => id.startsWith("volume")));
  assert.equal(reasonOf(await add("c4", true)), "accepted");
  assert.equal(reasonOf(await add("c5", false)), "VOLUME_IN_USE");
});

for (const [step, breakIt] of Object.entries({
  volumes: (node: TestNode, fault: () => Promise<void>) => {
    node.machines.onAttach = async ({ id }) => {
      if (id.startsWith("volume")) await fault();
    };
  },
  "guest-container": (node: TestNode, fault: () => Promise<void>) => {
    node.guest.onCall = async (name) => {
      if (name === "createContainer") await fault();
    };
  },
})) {
  const prepared = async (node: TestNode) => {
    volumeIn(await make(node, "data"));
    sandboxIn(await sandboxWith(node, "s1"));
    return () =>
      node.ask(
        { case: "createContainer", value: { spec: containerWith("c2", mountOf("data")) } },
        { requestId: "r" },
      );
  };
  const isUnused = async (node: TestNode) => {
    assert.deepEqual([volumeIn(await get(node, "data")).users, linksOf(node, "s1")], [[], []]);
    assert.ok(![...node.machines.only.devices.keys()].some((id) => id.startsWith("volume")));
    assert.deepEqual(node.operations(), []);
  };

  test(`a container whose step ${step} fails leaves its volume unused`, async () => {
    await using node = await TestNode.start();
    const add = await prepared(node);
    breakIt(node, async () => {
      throw new Error("it broke");
    });
    assert.notEqual(reasonOf(await add()), "accepted");
    await isUnused(node);
    breakIt(node, async () => undefined);
    assert.equal(reasonOf(await add()), "accepted");
  });

  test(`a container in whose step ${step} the daemon dies leaves its volume unused, and the same request creates it`, async () => {
    await using node = await TestNode.start();
    const add = await prepared(node);
    const reached = Promise.withResolvers<void>();
    breakIt(node, () => {
      reached.resolve();
      return node.forever;
    });
    void add();
    await reached.promise;
    await node.crash();
    await isUnused(node);
    breakIt(node, async () => undefined);
    assert.equal(reasonOf(await add()), "accepted");
  });
}

test("a disk whose file system is being unmounted is released a moment later", async () => {
  await using node = await TestNode.start();
  volumeIn(await make(node, "data"));
  sandboxIn(await sandboxWith(node, "s1", mountOf("data")));
  let refusals = 3;
  node.guest.onCall = async (name) => {
    if (name === "releaseDisk" && refusals-- > 0)
      throw guestRefusal(agentpb.FailureReason.DEVICE_BUSY, "it is mounted");
  };
  const drop = () => node.ask({ case: "deleteContainer", value: { containerId: "c1" } });
  assert.equal(reasonOf(await drop()), "accepted");
  assert.deepEqual(volumeIn(await get(node, "data")).users, []);
});

test("rates of a volume that containers share are their sum, and none when one of them has no limit", async () => {
  await using node = await TestNode.start();
  volumeIn(await make(node, "data"));
  const limited = (containerId: string, readBytesPerSecond: bigint) => ({
    ...containerWith(containerId, mountOf("data")),
    resources: create(ContainerResourcesSchema, { io: { readBytesPerSecond } }),
  });
  const spec = { containers: [limited("c1", 10_000n), limited("c2", 5000n)] };
  sandboxIn(await node.ask({ case: "createSandbox", value: { spec } }));
  const rates = () => node.machines.only.rates.get("volume4")?.readBytesPerSecond;
  assert.equal(rates(), 15_000);
  assert.deepEqual(
    node.guest.limits.get("c2")?.disks.map(({ target, readBytesPerSecond }) => [target, readBytesPerSecond]),
    [
      [2, 5000n],
      [3, 5000n],
      [4, 5000n],
    ],
  );
  await node.ask({ case: "createContainer", value: { spec: containerWith("c3", mountOf("data")) } });
  assert.equal(rates(), 0);
});
