/** QEMU itself, without a daemon: what the node's machines are, with the real guest and with one of six instructions. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import { newcArchive } from "../../deploy/guest/newc-archive.ts";
import { type AgentClient, connectAgent } from "../../services/node/src/agent/connect-agent.ts";
import { installGuestFiles } from "../../services/node/src/host/guest-files.ts";
import { FakeCgroups } from "../../services/node/src/testing/fake-machines.ts";
import { type MachineFixture, machineContract } from "../../services/node/src/testing/machine-contract.ts";
import { savedMachineContract } from "../../services/node/src/testing/saved-machine-contract.ts";
import type { MachineRequest } from "../../services/node/src/vm/machine-port.ts";
import { QemuHost } from "../../services/node/src/vm/qemu-host.ts";
import { ownVmDirectory } from "../../services/node/src/vm/vm-directory.ts";
import { newVmId, type VmPaths, vmPaths, vmsDir } from "../../services/node/src/vm/vm-paths.ts";
import { repositoryRoot } from "../harness/child-service.ts";
import { talkingInit } from "../harness/talking-init.ts";

const MIB = 1024 * 1024;
const UID = 64_998;
const BURSTS = 40;
const PEERS = 25;

type RealMachine = MachineFixture & { agent(vm: VmPaths): Promise<AgentClient> };

/** A host of QEMU machines and a request, below a directory of its own. */
async function realMachine(initramfs?: Buffer): Promise<RealMachine> {
  const state = mkdtempSync(join(tmpdir(), "machine-"));
  chmodSync(state, 0o711);
  mkdirSync(vmsDir(state), { mode: 0o711 });
  const directory = join(state, "saved");
  mkdirSync(directory, { mode: 0o711 });
  const guest = await installGuestFiles(join(repositoryRoot, "deploy/guest/out"), state);
  const ours = join(state, "initramfs");
  if (initramfs !== undefined) writeFileSync(ours, initramfs, { mode: 0o444 });
  const host = new QemuHost({
    binary: "qemu-system-x86_64",
    accelerator: "tcg",
    // These guests are idle when vCPUs come and go, which emulation survives.
    vcpuControl: "plug",
    // It brings its CPUs online first, and the host has other work.
    guestPatienceMs: 30_000,
    cpuModel: "max",
    groups: [],
    guest: { ...guest, initramfs: initramfs === undefined ? guest.initramfs : ours },
    cgroups: new FakeCgroups(),
    stateDir: state,
    freeBytes: async () => 1024 * MIB,
  });
  const agent = ({ agentSocket }: VmPaths) => connectAgent({ socketPath: agentSocket, deadlineMs: 60_000 });
  const getGuest = async (vm: VmPaths) => {
    await using connected = await agent(vm);
    const { guest } = await connected.sandbox.getGuest({});
    return guest ?? assert.fail("a guest tells of itself");
  };
  return {
    host,
    request: await requestBelow(state),
    another: () => requestBelow(state),
    directory,
    agent,
    answers: async (vm) => void (await getGuest(vm)),
    async mark(vm) {
      await using connected = await agent(vm);
      await connected.sandbox.configureSandbox({ entropy: randomBytes(32), time: timestampNow() });
    },
    isMarked: async (vm) => (await getGuest(vm)).configured,
    async [Symbol.asyncDispose]() {
      const signal = AbortSignal.timeout(20_000);
      for (const id of await host.running()) await host.killStrays(vmPaths(state, id), signal);
      rmSync(state, { recursive: true, force: true });
    },
  };
}

async function requestBelow(state: string): Promise<MachineRequest> {
  const paths = vmPaths(state, newVmId());
  await ownVmDirectory(paths, UID);
  const path = join(paths.dir, "disk");
  writeFileSync(path, "");
  truncateSync(path, MIB);
  chownSync(path, UID, UID);
  return {
    paths,
    uid: UID,
    vcpus: 1,
    maxVcpus: 4,
    memoryBytes: 256 * MIB,
    maxMemoryBytes: 1024 * MIB,
    placement: [],
    interfacePorts: 0,
    origin: { kind: "boot" },
    devices: [{ kind: "disk", id: "disk0", path, readOnly: false, target: 0, added: "cold" }],
  };
}

machineContract("machines of QEMU", () => realMachine());
savedMachineContract("machines of QEMU", () => realMachine());

/** Asks until the answer is right: nothing outside the guest tells. */
async function until(isSo: () => Promise<boolean>, what: string): Promise<void> {
  for (let left = 600; left > 0; left--) {
    if (await isSo()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail(`it did not come to pass: ${what}`);
}

test("a guest uses vCPUs and memory that are plugged in, until they are removed", async () => {
  const signal = AbortSignal.timeout(90_000);
  await using real = await realMachine();
  const machine = await real.host.start(real.request, signal);
  await using agent = await real.agent(real.request.paths);
  const guest = async () =>
    (await agent.sandbox.getGuest({})).guest ?? assert.fail("a guest tells of itself");
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
    // The second serial port, which QEMU keeps nothing of.
    { kind: "character-device", path: "console", mode: 0o600, major: 4, minor: 65 },
  ]);
  await using real = await realMachine(archive);
  const machine = await real.host.start(real.request, signal);
  await until(async () => (await machine.serialTail()).includes("these were the last words"), "it spoke");
  process.kill(machine.identity.pid, "SIGKILL");
  const { cause, evidence } = await machine.ended;
  assert.equal(cause, "vm_lost");
  assert.match(evidence, /ended by SIGKILL/);
  assert.match(evidence, /these were the last words$/);
  assert.ok(evidence.length <= 8192);
});

test("a guest accepts new connections however many peers disconnect in the middle of answers", async (t) => {
  const signal = AbortSignal.timeout(120_000);
  await using real = await realMachine();
  const machine = await real.host.start(real.request, signal);
  await real.answers(real.request.paths);
  // QEMU keeps buffers of the port when a peer goes; with all of them gone only a reset of the port by the agent helps.
  for (let burst = 0; burst < BURSTS; burst++) {
    for (let peer = 0; peer < PEERS; peer++) await leaves(real.request.paths.agentSocket);
    // Until QEMU has taken them all it has no room for another.
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

/** A peer that says HELLO and goes without waiting for the answer; QEMU may have no room for it. */
async function leaves(path: string): Promise<void> {
  const socket = connect(path);
  const closed = once(socket, "close").catch(() => undefined);
  socket.write(`PADDOCK/1 HELLO ${randomBytes(16).toString("hex")}\n`, () => socket.destroy());
  await closed;
}
