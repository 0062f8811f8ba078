import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { exec } from "../harness/exec.ts";
import { idle, runIdle } from "../harness/sandbox.ts";
import { inSeconds, Stack } from "../harness/stack.ts";

const MIB = 1024 * 1024;

let stack: Stack;
before(async () => {
  stack = await Stack.start({});
});
after(() => stack?.[Symbol.asyncDispose]());

const id = () => ({ requestId: randomUUID() });
const soon = () => ({ deadline: inSeconds(60) });
const volumes = () => stack.client.volumes;
const mount = (name: string, readOnly = false, at = name) => ({
  destination: `/mnt/${at}`,
  source: { case: "volume", value: { name } } as const,
  readOnly,
});
const sh = (sandboxId: string, script: string) =>
  exec(stack.client, ["sh", "-c", script], { sandboxId, containerId: "c1" });
const remove = (sandboxId: string) =>
  stack.client.sandboxes.deleteSandbox({ ...id(), sandboxId, force: true }, soon());
const stop = (sandboxId: string) => stack.client.sandboxes.stopSandbox({ ...id(), sandboxId }, soon());

test("data on a volume outlives its sandbox, of two sandboxes that write one gets it, and a volume is deleted only when it is unused", async () => {
  await volumes().createVolume({ ...id(), name: "data", sizeBytes: BigInt(32 * MIB) });
  const runs = await Promise.allSettled(
    ["first", "second"].map((name) =>
      runIdle(stack, name, { mounts: [mount("data"), mount("data", true, "again")] }),
    ),
  );
  const refusal = runs.find((run) => run.status === "rejected");
  assert.equal(runs.filter(({ status }) => status === "fulfilled").length, 1);
  assert.equal(refusal?.reason.reason, "VOLUME_IN_USE");
  const { volume } = await volumes().getVolume({ name: "data" });
  const [user = assert.fail("no user")] = volume?.users ?? [];
  const written = await sh(
    user.sandboxId,
    "ls -A /mnt/data; echo kept > /mnt/data/f; sync; cat /mnt/again/f; touch /mnt/again/g; df -k /mnt/data | tail -1",
  );
  assert.match(written.stdout, /^kept\n\S+ +\d+/);
  assert.match(written.stderr, /Read-only file system/);
  await assert.rejects(volumes().deleteVolume({ ...id(), name: "data" }), { reason: "VOLUME_IN_USE" });
  await stop(user.sandboxId);
  await remove(user.sandboxId);
  // The writer unmounted it, so readers find a clean journal.
  await runIdle(stack, "reader", { mounts: [mount("data", true)] });
  const read = await sh("reader", "cat /mnt/data/f; touch /mnt/data/g");
  assert.equal(read.stdout, "kept\n");
  assert.match(read.stderr, /Read-only file system/);
  await remove("reader");
  await volumes().deleteVolume({ ...id(), name: "data" });
  assert.deepEqual(readdirSync(join(stack.stateDirectory, "volumes")), []);
});

test("a volume grows under a running sandbox and while it is unused, and is full only inside", async () => {
  await volumes().createVolume({ ...id(), name: "growing", sizeBytes: BigInt(16 * MIB) });
  await runIdle(stack, "grower", { mounts: [mount("growing")] });
  const fill = "dd if=/dev/zero of=/mnt/growing/zeros bs=1M count=20";
  assert.match((await sh("grower", fill)).stderr, /No space left/);
  const grown = await volumes().resizeVolume(
    { ...id(), name: "growing", sizeBytes: BigInt(64 * MIB) },
    soon(),
  );
  assert.equal(Number(grown.volume?.sizeBytes), 64 * MIB);
  assert.equal((await sh("grower", `${fill} && sync`)).status.code, 0);
  const used = async () => Number((await volumes().getVolume({ name: "growing" })).volume?.usedBytes);
  assert.ok((await used()) > 19_000_000);
  assert.equal((await sh("grower", "rm /mnt/growing/zeros && sync && echo done")).stdout, "done\n");
  assert.ok((await used()) < 19_000_000, "the guest discarded the file");
  await stop("grower");
  await remove("grower");
  await volumes().resizeVolume({ ...id(), name: "growing", sizeBytes: BigInt(128 * MIB) });
  // Mounted for writing, the copy grows to its size.
  await volumes().createVolume({ ...id(), name: "copy", source: "growing" });
  await runIdle(stack, "copied", { mounts: [mount("copy")] });
  const blocks = await sh("copied", "df -k /mnt/copy | tail -1");
  assert.ok(Number(blocks.stdout.split(/\s+/)[1]) > 100_000, blocks.stdout);
  await remove("copied");
});

test("a damaged file system is told, and leaves no sandbox", async () => {
  await volumes().createVolume({ ...id(), name: "broken", sizeBytes: BigInt(16 * MIB) });
  for (const other of ["growing", "copy"]) await volumes().deleteVolume({ ...id(), name: other });
  const [only = assert.fail("no file")] = readdirSync(join(stack.stateDirectory, "volumes"));
  writeFileSync(join(stack.stateDirectory, "volumes", only), Buffer.alloc(64 * 1024, 0x5a), { flag: "r+" });
  await assert.rejects(runIdle(stack, "victim", { mounts: [mount("broken")] }), { reason: "BAD_FILESYSTEM" });
  const { volume } = await volumes().getVolume({ name: "broken" });
  assert.deepEqual(volume?.users, []);
});

test("containers share the disk of a volume, and the last of them releases it with all data written", async () => {
  await volumes().createVolume({ ...id(), name: "shared", sizeBytes: BigInt(16 * MIB) });
  await runIdle(stack, "sharing");
  const image = await stack.tinyImage();
  const create = (containerId: string, readOnly: boolean) => {
    const spec = { containerId, image, process: idle, mounts: [mount("shared", readOnly)] };
    return stack.client.containers.createContainer({ ...id(), sandboxId: "sharing", spec }, soon());
  };
  const drop = (containerId: string) =>
    stack.client.containers.deleteContainer(
      { ...id(), sandboxId: "sharing", containerId, force: true },
      soon(),
    );
  const start = (containerId: string) =>
    stack.client.containers.startContainer({ ...id(), sandboxId: "sharing", containerId }, soon());
  for (const [containerId, readOnly] of [
    ["writes", false],
    ["reads", true],
  ] as const) {
    await create(containerId, readOnly);
    await start(containerId);
  }
  const run = (containerId: string, script: string) =>
    exec(stack.client, ["sh", "-c", script], { sandboxId: "sharing", containerId });
  await run("writes", "echo kept > /mnt/shared/f");
  assert.equal((await run("reads", "cat /mnt/shared/f")).stdout, "kept\n");
  await drop("writes");
  await drop("reads");
  assert.deepEqual((await volumes().getVolume({ name: "shared" })).volume?.users, []);
  // Readable at once: the guest has unmounted it.
  await create("later", true);
  await start("later");
  assert.equal((await run("later", "cat /mnt/shared/f")).stdout, "kept\n");
  await remove("sharing");
});
