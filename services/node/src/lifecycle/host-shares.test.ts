import assert from "node:assert/strict";
import { test } from "node:test";
import { fromStatus } from "@paddock/protocol";
import { sandboxIn, TestNode } from "../testing/test-node.ts";

const mountOf = (path: string, readOnly = false) => ({
  destination: "/work",
  readOnly,
  source: { case: "hostDirectory", value: { path } } as const,
});

const container = (path: string, readOnly = false) => ({
  containerId: "c1",
  image: "tiny",
  mounts: [mountOf(path, readOnly)],
});

const createIt = (...containers: object[]) =>
  ({ case: "createSandbox", value: { spec: { containers } } }) as const;

test("the VM of a sandbox with host directories has a share for each, whose servers end with it", async () => {
  await using node = await TestNode.start();
  sandboxIn(
    await node.ask(
      createIt(container("/allowed/a"), { ...container("/allowed/b", true), containerId: "c2" }),
    ),
  );
  const { vm } = node.context.sandboxes.require("s1").record;
  assert.deepEqual(node.shares.servers.get(vm.id), ["/allowed/a", "/allowed/b"]);
  const shares = node.machines.only.request.devices.filter(({ kind }) => kind === "share");
  assert.deepEqual(
    shares.map((share) => [
      share.id,
      share.added,
      "tag" in share && share.tag,
      "place" in share && share.place,
    ]),
    [
      ["share0", "cold", "host0", 0],
      ["share1", "cold", "host1", 1],
    ],
  );
  sandboxIn(await node.ask({ case: "stopSandbox", value: { force: true } }));
  assert.equal(node.shares.servers.size, 0);
  node.guest.reboot();
  sandboxIn(await node.ask({ case: "startSandbox", value: {} }));
  assert.equal(node.shares.servers.get(vm.id)?.length, 2);
  assert.equal((await node.ask({ case: "deleteSandbox", value: { force: true } })).case, "deleteSandbox");
  assert.deepEqual(node.leftovers(), []);
});

test("a sandbox with host directories gets memory of the host for their files, in its limit and in its room", async () => {
  const MIB = 1024 * 1024;
  const figures = async (mounts: object[]) => {
    await using node = await TestNode.start();
    const { status } = sandboxIn(await node.ask(createIt({ ...container("/allowed/a"), mounts })));
    const { memoryBytes } = node.context.sandboxes.allocated();
    return {
      limit: Number(status?.limits?.memoryBytes),
      overhead: Number(status?.limits?.memoryOverheadBytes),
      memoryBytes,
    };
  };
  const [plain, sharing] = [
    await figures([]),
    await figures([mountOf("/allowed/a"), { ...mountOf("/allowed/b"), destination: "/b" }]),
  ];
  for (const key of ["limit", "overhead", "memoryBytes"] as const)
    assert.equal(sharing[key] - plain[key], 128 * MIB, key);
});

test("a directory that is not allowed is refused before any change", async () => {
  await using node = await TestNode.start();
  const answer = await node.ask(createIt(container("/etc")));
  assert.ok(answer.case === "error");
  assert.equal(fromStatus(answer.value).reason, "PATH_NOT_ALLOWED");
  assert.deepEqual(node.leftovers(), []);
});

test("a container that is added later can mount the directories of the VM, and no others", async () => {
  await using node = await TestNode.start();
  sandboxIn(await node.ask(createIt(container("/allowed/a"))));
  const add = (containerId: string, path: string, readOnly: boolean) =>
    node.ask({ case: "createContainer", value: { spec: { ...container(path, readOnly), containerId } } });
  assert.equal((await add("c2", "/allowed/a/", false)).case, "createContainer");
  for (const [path, readOnly] of [
    ["/allowed/a", true],
    ["/allowed/b", false],
  ] as const) {
    const refused = await add("c3", path, readOnly);
    assert.ok(refused.case === "error");
    assert.equal(fromStatus(refused.value).reason, "WRONG_STATE");
    assert.match(refused.value.message, /does not have the directory \/allowed/);
  }
});

test("a creation whose server cannot be started leaves nothing", async () => {
  await using node = await TestNode.start();
  node.shares.onStart = async () => {
    throw new Error("it broke");
  };
  assert.equal((await node.ask(createIt(container("/allowed/a")))).case, "error");
  assert.deepEqual(node.leftovers(), []);
});

test("a daemon ends servers that an earlier daemon was starting when it died", async () => {
  await using node = await TestNode.start();
  const reached = Promise.withResolvers<void>();
  node.shares.onStart = () => {
    reached.resolve();
    return node.forever;
  };
  void node.ask(createIt(container("/allowed/a")));
  await reached.promise;
  assert.equal(node.shares.servers.size, 1);
  assert.equal((await node.crash()).undone, 1);
  assert.deepEqual(node.leftovers(), []);
});

test("a daemon keeps the servers of VMs that it takes over", async () => {
  await using node = await TestNode.start();
  sandboxIn(await node.ask(createIt(container("/allowed/a"))));
  assert.equal((await node.crash()).adopted, 1);
  assert.equal(node.shares.servers.size, 1);
});

test("a sandbox whose server has ended is unhealthy with the cause, and can be stopped and started", async () => {
  await using node = await TestNode.start();
  sandboxIn(await node.ask(createIt(container("/allowed/a"))));
  const entry = node.context.sandboxes.require("s1");
  node.shares.lose(entry.record.vm.id);
  await entry.reaches(({ unhealthy }) => unhealthy !== undefined, AbortSignal.timeout(5000));
  assert.match(entry.record.unhealthy ?? "", /host directory \/allowed\/a is no longer served/);
  sandboxIn(await node.ask({ case: "stopSandbox", value: { force: true } }));
  node.guest.reboot();
  sandboxIn(await node.ask({ case: "startSandbox", value: {} }));
  assert.equal(entry.record.unhealthy, undefined);
});
