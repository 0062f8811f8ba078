import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { identify } from "@paddock/qemu";
import { KnownProcesses, type VmProcess } from "./known-processes.ts";

/** A process that runs until the test ends, as a process of this VM. */
async function processOf(t: TestContext, vm: string): Promise<VmProcess<string>> {
  const child = spawn("sleep", ["1000"], { stdio: "ignore" });
  t.after(() => child.kill("SIGKILL"));
  await once(child, "spawn");
  return { vm, identity: identify(child.pid ?? 0) ?? assert.fail("it runs") };
}

test("the processes of the host are scanned once, regardless of the number of VMs started later", async (t) => {
  const [left, started] = [await processOf(t, "left"), await processOf(t, "started")];
  let scans = 0;
  const known = new KnownProcesses(async () => {
    scans += 1;
    // A process that is started during the scan is found, too.
    return [left, { ...started, identity: { ...started.identity } }];
  });
  known.add(started);
  const [first, second] = await Promise.all([known.of("left"), known.of("started")]);
  assert.deepEqual([first, second], [[left.identity], [started.identity]]);
  assert.deepEqual((await known.running()).toSorted(), ["left", "started"]);
  for (let round = 0; round < 100; round++) {
    const vm = `vm${round}`;
    known.add({ vm, identity: started.identity });
    known.ended(vm, await known.of(vm));
    assert.deepEqual(await known.of(vm), []);
  }
  known.ended("left", first);
  assert.deepEqual(await known.running(), ["started"]);
  assert.equal(scans, 1);
});

test("a failed scan is repeated, and an ended process is not listed as running", async (t) => {
  const process = await processOf(t, "vm");
  let scans = 0;
  const known = new KnownProcesses(async () => {
    scans += 1;
    if (scans === 1) throw new Error("/proc cannot be read");
    return [{ ...process, identity: { ...process.identity, startTicks: "1" } }];
  });
  await assert.rejects(known.running(), /cannot be read/);
  assert.deepEqual(await known.running(), []);
  assert.equal((await known.of("vm")).length, 1);
});
