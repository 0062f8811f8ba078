/** QEMU itself, without a daemon: the contract of the node's machines, with the real guest and with one of six instructions. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { newcArchive } from "../../deploy/guest/newc-archive.ts";
import { machineContract } from "../../services/node/src/testing/machine-contract.ts";
import { savedMachineContract } from "../../services/node/src/testing/saved-machine-contract.ts";
import { realMachine } from "../harness/real-machine.ts";
import { talkingInit } from "../harness/talking-init.ts";
import { until } from "../harness/until.ts";

const MIB = 1024 * 1024;
const BURSTS = 40;
const PEERS = 25;

machineContract("machines of QEMU", () => realMachine());
savedMachineContract("machines of QEMU", () => realMachine());

test("a guest uses vCPUs and memory that are plugged in, until they are removed", async () => {
  const signal = AbortSignal.timeout(90_000);
  await using real = await realMachine();
  const machine = await real.host.start(real.request, signal);
  await using agent = await real.agent(real.request.paths);
  const guest = async () =>
    (await agent.sandbox.getGuest({})).guest ?? assert.fail("the answer has no guest");
  const before = await guest();
  assert.equal(before.onlineCpus, 1);
  assert.equal(await machine.setVcpus(3, signal), 3);
  assert.equal(await machine.setMemory(768 * MIB, signal), 768 * MIB);
  await until(async () => {
    const now = await guest();
    return now.onlineCpus === 3 && now.memoryTotalBytes === before.memoryTotalBytes + BigInt(512 * MIB);
  }, "three CPUs and 512 MiB more");
  assert.equal(await machine.setMemory(256 * MIB, signal), 256 * MIB);
  assert.equal(await machine.setVcpus(1, signal), 1);
  const after = await guest();
  assert.equal(after.onlineCpus, 1);
  assert.equal(after.memoryTotalBytes, before.memoryTotalBytes);
});

test("the last console output of a guest is the evidence when its QEMU is killed", async () => {
  const signal = AbortSignal.timeout(60_000);
  const init = talkingInit("/console", "these were the last words\n");
  const archive = newcArchive([
    { kind: "file", path: "init", mode: 0o755, data: init },
    // The second serial port, whose output QEMU does not keep.
    { kind: "character-device", path: "console", mode: 0o600, major: 4, minor: 65 },
  ]);
  await using real = await realMachine(archive);
  const machine = await real.host.start(real.request, signal);
  await until(
    async () => (await machine.serialTail()).includes("these were the last words"),
    "it printed its line",
  );
  process.kill(machine.identity.pid, "SIGKILL");
  const { cause, evidence } = await machine.ended;
  assert.equal(cause, "vm_lost");
  assert.match(evidence, /ended by SIGKILL/);
  assert.match(evidence, /these were the last words$/);
  assert.ok(evidence.length <= 8192);
});

test("a guest accepts new connections after any number of peers disconnect in the middle of answers", async (t) => {
  const signal = AbortSignal.timeout(120_000);
  await using real = await realMachine();
  const machine = await real.host.start(real.request, signal);
  await real.answers(real.request.paths);
  // QEMU keeps buffers of the port when a peer disconnects. Once it has kept all of them, only a reset of the port by the agent
  // helps.
  for (let burst = 0; burst < BURSTS; burst++) {
    for (let peer = 0; peer < PEERS; peer++) await leaves(real.request.paths.agentSocket);
    // Until QEMU has accepted them all it has no room for another.
    const isReached = () =>
      real.answers(real.request.paths).then(
        () => true,
        () => false,
      );
    await until(isReached, `it answers after burst ${burst}`);
  }
  const resets = (await machine.serialTail()).match(/the port failed/g)?.length ?? 0;
  t.diagnostic(`the agent reset its port ${resets} times`);
});

/** A peer that sends HELLO and disconnects without waiting for the answer. QEMU may have no room for it. */
async function leaves(path: string): Promise<void> {
  const socket = connect(path);
  const closed = once(socket, "close").catch(() => undefined);
  socket.write(`PADDOCK/1 HELLO ${randomBytes(16).toString("hex")}\n`, () => socket.destroy());
  await closed;
}
