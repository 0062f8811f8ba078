import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { statSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ContainerState, SandboxState, StopCause } from "@paddock/protocol";
import { begin } from "../harness/begin.ts";
import { type ExecOptions, exec } from "../harness/exec.ts";
import { machinesOf } from "../harness/machines.ts";
import { idle, runIdle } from "../harness/sandbox.ts";
import { inSeconds, Stack } from "../harness/stack.ts";
import { until } from "../harness/until.ts";
import { vmOf } from "../harness/vm-of.ts";

const MIB = 1024n * 1024n;
let stack: Stack;
let image: string;
const sandboxId = "s";
const c1 = { sandboxId, containerId: "c1" };
const id = () => ({ requestId: randomUUID() });
const soon = () => ({ deadline: inSeconds(60) });
/** Handles SIGTERM and SIGUSR1, and keeps running. */
const stubborn = { args: ["sh", "-c", "trap : TERM USR1; while :; do sleep 3600 & wait; done"] };

/** Creates and starts a container in the sandbox. */
async function run(containerId: string, process: { args: string[] }) {
  const at = { sandboxId, containerId };
  const spec = { containerId, image, process };
  await stack.client.containers.createContainer({ ...id(), sandboxId, spec }, soon());
  await stack.client.containers.startContainer({ ...id(), ...at }, soon());
  return at;
}

/** The kernel's status of a process with these credentials. */
async function statusOf(process: NonNullable<ExecOptions["process"]>): Promise<Map<string, string>> {
  const { stdout } = await exec(stack.client, ["cat", "/proc/self/status"], { ...c1, process });
  const entries = stdout.split("\n").map((line) => line.split(/:\s*/, 2));
  return new Map(entries.map(([name = "", value = ""]) => [name, value.replaceAll(/\s+/g, " ").trim()]));
}

/** The set of Docker's documentation without CAP_MKNOD and CAP_NET_RAW. */
const DEFAULT_CAPABILITIES = 0xa80425fbn & ~(1n << 27n) & ~(1n << 13n);
const SETS = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];

before(async () => {
  stack = await Stack.start();
  image = await stack.tinyImage();
  await runIdle(stack, sandboxId);
});
after(() => stack?.[Symbol.asyncDispose]());

test("an exec has the user, groups, capabilities and no-new-privileges it was given, as the kernel sees them", async () => {
  const asked = await statusOf({
    user: "app:tty",
    additionalGroups: ["nogroup", "77"],
    capabilities: { names: ["CAP_CHOWN", "CAP_NET_BIND_SERVICE"] },
    noNewPrivileges: true,
  });
  assert.equal(asked.get("Uid"), "1000 1000 1000 1000");
  assert.equal(asked.get("Gid"), "5 5 5 5");
  assert.deepEqual(
    new Set(
      asked
        .get("Groups")
        ?.split(" ")
        .filter((group) => group !== "5"),
    ),
    new Set(["77", "65534"]),
  );
  for (const set of SETS) assert.equal(BigInt(`0x${asked.get(set)}`), (1n << 0n) | (1n << 10n), set);
  assert.equal(asked.get("NoNewPrivs"), "1");
  assert.equal(asked.get("Seccomp"), "2");
});

test("an exec without settings has the container's user and the default capabilities, and an empty set has none", async () => {
  const plain = await statusOf({});
  assert.equal(plain.get("Uid"), "0 0 0 0");
  assert.equal(plain.get("NoNewPrivs"), "0");
  assert.equal(BigInt(`0x${plain.get("CapEff")}`), DEFAULT_CAPABILITIES);
  assert.equal(BigInt(`0x${plain.get("CapBnd")}`), DEFAULT_CAPABILITIES);
  const none = await statusOf({ capabilities: { names: [] } });
  for (const set of SETS) assert.equal(BigInt(`0x${none.get(set)}`), 0n, set);
  assert.equal((await statusOf({ seccompUnconfined: true })).get("Seccomp"), "0");
});

test("a user or group that the image does not have is refused with its name", async () => {
  for (const process of [{ user: "nobody-knows" }, { additionalGroups: ["nobody-knows"] }])
    await assert.rejects(exec(stack.client, ["true"], { ...c1, process }), /nobody-knows/);
});

test("a signal, by name or number, reaches only the init, or with all every process of the container", async () => {
  const { containers, processes } = stack.client;
  const at = await run("kill", stubborn);
  const sleepers = await Promise.all([1, 2].map(() => begin(stack.client, ["sleep", "777"], at)));
  const sleeping = async () =>
    (await containers.listProcesses(at, soon())).processes.filter(({ args }) => args[1] === "777").length;
  await containers.killContainer({ ...id(), ...at, signal: "USR1" }, soon());
  assert.equal(await sleeping(), 2, "only the init got it");
  const waits = sleepers.flatMap(({ execId }) => [
    processes.waitProcess({ ...at, execId }, soon()),
    processes.waitProcess({ ...at, execId }, soon()),
  ]);
  await containers.killContainer({ ...id(), ...at, signal: "10", all: true }, soon());
  for (const { status } of await Promise.all(waits)) assert.equal(status?.signal, 10);
  assert.equal(await sleeping(), 0);
  assert.equal((await containers.getContainerStatus(at)).container?.state, ContainerState.RUNNING);

  const third = await begin(stack.client, ["sleep", "777"], at);
  await processes.signalProcess({ ...id(), ...at, execId: third.execId, signal: "sigint" }, soon());
  const { status } = await processes.waitProcess({ ...at, execId: third.execId }, soon());
  assert.equal(status?.signal, 2);
  await processes.signalProcess({ ...id(), ...at, execId: third.execId, signal: "KILL" }, soon());
  for (const signal of ["SIGNOTHING", "0", "65"])
    await assert.rejects(containers.killContainer({ ...id(), ...at, signal }, soon()), {
      reason: "INVALID_FIELD",
    });
});

test("a stopped container can be stopped and killed, cannot be paused or entered, and is NOT_FOUND after its deletion", async () => {
  const { containers, processes } = stack.client;
  const at = await run("over", { args: ["sh", "-c", "exit 3"] });
  const wait = () => processes.waitProcess({ ...at, execId: at.containerId }, soon());
  for (const { status } of await Promise.all([wait(), wait(), wait()])) assert.equal(status?.code, 3);
  await containers.killContainer({ ...id(), ...at }, soon());
  const { container } = await containers.stopContainer({ ...id(), ...at }, soon());
  assert.equal(container?.exitStatus?.code, 3, "a stop of an ended container changes nothing");
  assert.equal(container?.stopCause, StopCause.EXITED);
  await processes.signalProcess({ ...id(), ...at, execId: at.containerId, signal: "TERM" }, soon());
  for (const refused of [
    () => containers.pauseContainer({ ...id(), ...at }, soon()),
    () => containers.resumeContainer({ ...id(), ...at }, soon()),
    () => containers.listProcesses(at, soon()),
    () => exec(stack.client, ["true"], at),
  ])
    await assert.rejects(refused(), { reason: "WRONG_STATE" });
  assert.ok((await containers.getContainerStats(at, soon())).stats, "its figures exist until it is deleted");

  const request = { ...id(), ...at };
  await containers.deleteContainer(request, soon());
  await containers.deleteContainer(request, soon());
  for (const unknown of [
    () => containers.deleteContainer({ ...id(), ...at }, soon()),
    () => containers.stopContainer({ ...id(), ...at }, soon()),
    () => containers.killContainer({ ...id(), ...at }, soon()),
    () => containers.getContainerStatus(at),
    () => containers.getContainerStats(at, soon()),
    () => processes.waitProcess({ ...at, execId: "x" }, soon()),
    () => processes.resizeTty({ ...at, execId: "x", size: { rows: 1, columns: 1 } }, soon()),
  ])
    await assert.rejects(unknown(), { reason: "CONTAINER_NOT_FOUND" });
});

test("a stopped container starts again with the files it wrote, and stops again", async () => {
  const { containers, processes } = stack.client;
  const script = "echo run >>/runs; echo $(wc -l </runs); exit $(wc -l </runs)";
  const at = await run("again", { args: ["sh", "-c", script] });
  const wait = () => processes.waitProcess({ ...at, execId: at.containerId }, soon());
  assert.equal((await wait()).status?.code, 1);
  const { container } = await containers.startContainer({ ...id(), ...at }, soon());
  assert.equal(container?.restartCount, 1);
  await stack.client.containers.stopContainer({ ...id(), ...at }, soon());
  assert.equal((await wait()).status?.code, 2);
  await containers.deleteContainer({ ...id(), ...at }, soon());
});

test("a running or paused container is deleted only with force", async () => {
  const { containers } = stack.client;
  const at = await run("forced", stubborn);
  await assert.rejects(containers.deleteContainer({ ...id(), ...at }, soon()), { reason: "WRONG_STATE" });
  await containers.pauseContainer({ ...id(), ...at }, soon());
  await assert.rejects(containers.deleteContainer({ ...id(), ...at }, soon()), { reason: "WRONG_STATE" });
  await containers.deleteContainer({ ...id(), ...at, force: true }, soon());
  await assert.rejects(containers.getContainerStatus(at), { reason: "CONTAINER_NOT_FOUND" });
});

test("a resize is refused without a terminal, and accepted for a terminal whose process has ended", async () => {
  const { processes } = stack.client;
  const size = { rows: 10, columns: 20 };
  const resize = (execId: string) => processes.resizeTty({ ...c1, execId, size }, soon());
  await assert.rejects(resize("c1"), { reason: "NO_TERMINAL" });
  await assert.rejects(resize("nobody"), { reason: "PROCESS_NOT_FOUND" });
  const { execId } = await exec(stack.client, ["true"], { ...c1, process: { terminal: true } });
  await resize(execId);
});

test("a node reports its capacity and what is allocated to sandboxes", async () => {
  const { node } = await stack.client.nodes.getNode({ nodeId: "n1" }, soon());
  assert.ok((node?.capacity?.memoryBytes ?? 0n) >= (node?.allocated?.memoryBytes ?? 0n));
  assert.ok(
    (node?.allocated?.memoryBytes ?? 0n) >= 256n << 20n,
    "the memory of the running sandbox is allocated",
  );
  await assert.rejects(stack.client.nodes.getNode({ nodeId: "n9" }, soon()), { reason: "NODE_NOT_FOUND" });
});

test("processes are listed with the columns of ps", async () => {
  const { containers } = stack.client;
  const begun = Date.now();
  const process = { user: "app", terminal: true };
  const shell = await begin(stack.client, ["sh", "-c", "sleep 778; true"], { ...c1, process });
  const child = async () =>
    (await containers.listProcesses(c1, soon())).processes.find(({ args }) => args.join(" ") === "sleep 778");
  // Its state is S while it sleeps.
  for (let each = await child(); each?.state !== "S"; each = await child());
  const { processes } = await containers.listProcesses(c1, soon());
  assert.deepEqual(
    processes.map(({ pid }) => pid),
    processes.map(({ pid }) => pid).sort((a, b) => a - b),
    "by PID",
  );
  const init = processes.find(({ pid }) => pid === 1);
  assert.deepEqual([init?.parentPid, init?.user, init?.uid, init?.terminal], [0, "root", 0, ""]);
  const parent = processes.find(({ args }) => args.includes("sleep 778; true"));
  const sleep = processes.find(({ args }) => args.join(" ") === "sleep 778");
  assert.equal(parent?.parentPid, 0, "an exec has no parent in the container");
  assert.equal(sleep?.parentPid, parent?.pid);
  assert.deepEqual(
    [sleep?.user, sleep?.uid, sleep?.gid, sleep?.terminal],
    ["app", 1000, 1000, parent?.terminal],
  );
  assert.match(sleep?.terminal ?? "", /^pts\/\d+$/);
  assert.equal(sleep?.state, "S");
  assert.equal(sleep?.command, "sleep");
  assert.equal(sleep?.threads, 1);
  assert.ok((sleep?.residentBytes ?? 0n) > 0n && (sleep?.virtualBytes ?? 0n) > (sleep?.residentBytes ?? 0n));
  assert.ok(Math.abs(Number(sleep?.startedAt?.seconds) * 1000 - begun) < 20_000);
  const signal = "9";
  await stack.client.processes.signalProcess({ ...id(), ...c1, execId: shell.execId, signal }, soon());
});

test("the status shows a long stop as holder of the lock; changes wait in order until their deadline, and reads do not wait", async () => {
  const { sandboxes, containers } = stack.client;
  const at = await run("slow", stubborn);
  await runIdle(stack, "next");
  const lock = async () => (await sandboxes.getSandbox({ sandboxId })).sandbox?.status?.lock;
  const usual = await answerMs(() => sandboxes.getSandboxStatus({ sandboxId }));

  const stopping = containers.stopContainer({ ...id(), ...at, grace: { seconds: 40n, nanos: 0 } }, soon());
  stopping.catch(() => undefined);
  await until(async () => (await lock())?.holder === "StopContainer", "the stop holds the lock");
  const late = sandboxes.pauseSandbox({ ...id(), sandboxId }, { deadline: inSeconds(3) });
  late.catch(() => undefined);
  await until(async () => (await lock())?.waiters.length !== 0, "the pause waits for the lock");
  assert.deepEqual((await lock())?.waiters, ["PauseSandbox"]);
  assert.ok((await lock())?.heldSince);

  const meanwhile = await answerMs(() => sandboxes.getSandboxStatus({ sandboxId }));
  assert.ok(meanwhile < usual * 4 + 50, `status took ${meanwhile} ms, usually ${usual} ms`);
  const { sandboxes: all } = await sandboxes.listSandboxes({}, soon());
  assert.deepEqual(
    all.map((each) => each.sandboxId),
    ["next", sandboxId],
  );
  assert.ok((await containers.getContainerStats(c1, soon())).stats);
  assert.ok((await sandboxes.getSandboxStats({ sandboxId }, soon())).stats?.guest);
  assert.equal((await exec(stack.client, ["echo", "here"], c1)).stdout, "here\n");
  const other = await sandboxes.pauseSandbox({ ...id(), sandboxId: "next" }, soon());
  assert.equal(other.sandbox?.status?.state, SandboxState.PAUSED);

  await assert.rejects(late, { reason: "DEADLINE" });
  await until(async () => (await lock())?.waiters.length === 0, "the pause has timed out");
  // A signal takes no lock: the long stop can be cut short.
  await containers.killContainer({ ...id(), ...at, signal: "KILL" }, soon());
  const { container } = await stopping;
  assert.equal(container?.exitStatus?.signal, 9);
  assert.equal(container?.stopCause, StopCause.REQUESTED);
  // The limits are adjusted after the container has ended.
  await until(async () => (await lock())?.holder === "", "the lock is free");
});

test("a sandbox that was never started is deleted with its VM", async () => {
  const { sandboxes } = stack.client;
  const containers = [{ containerId: "c1", image, process: idle }];
  const request = { ...id(), sandboxId: "unborn" };
  await sandboxes.createSandbox({ ...id(), sandboxId: "unborn", spec: { containers } }, soon());
  const machines = () => machinesOf(stack.stateDirectory).length;
  const before = machines();
  await sandboxes.deleteSandbox(request, soon());
  assert.equal(machines(), before - 1);
  await sandboxes.deleteSandbox(request, soon());
  await assert.rejects(sandboxes.deleteSandbox({ ...request, ...id() }, soon()), {
    reason: "SANDBOX_NOT_FOUND",
  });
  await assert.rejects(sandboxes.stopSandbox({ ...id(), sandboxId: "unborn" }, soon()), {
    reason: "SANDBOX_NOT_FOUND",
  });
});

/** The median time of 15 calls one after the other, in ms. */
async function answerMs(call: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let n = 0; n < 15; n++) {
    const begun = performance.now();
    await call();
    times.push(performance.now() - begun);
  }
  return times.sort((a, b) => a - b)[7] ?? 0;
}

test("the space of removed files returns to the host, and the host's page cache does not count as the VM's memory", async () => {
  await runIdle(stack, "disk");
  const at = { sandboxId: "disk", containerId: "c1", deadline: inSeconds(180) };
  const layer = join(vmOf(stack.stateDirectory, "disk").dir, "0.ext4");
  const takenMib = () => statSync(layer).blocks / 2 / 1024;
  // Random bytes cost an emulated CPU much time, so one MiB of them is copied.
  const write = "cat $(yes /random | head -n 100) > /big && sync";
  const first = `dd if=/dev/urandom of=/random bs=1M count=1 && ${write}`;
  assert.equal((await exec(stack.client, ["sh", "-c", first], at)).status.code, 0);
  assert.ok(takenMib() > 95, `${takenMib()} MiB are used for 100 MiB`);
  const { stats } = await stack.client.sandboxes.getSandboxStats({ sandboxId: "disk" }, soon());
  const { usageBytes, fileBytes, peakBytes } = stats?.host?.memory ?? assert.fail("no figures");
  assert.ok(usageBytes > 0n && usageBytes + fileBytes <= peakBytes + 16n * MIB);
  const again = `rm /big; sync; for i in 1 2; do ${write}; rm /big; sync; done; sync`;
  assert.equal((await exec(stack.client, ["sh", "-c", again], at)).status.code, 0);
  // ext4 discards the blocks that a transaction has freed once the transaction is on the disk.
  await until(async () => {
    if (takenMib() <= 40) return true;
    await exec(stack.client, ["sync"], at);
    return false;
  }, "the space of the removed files is free");
  await stack.client.sandboxes.deleteSandbox({ ...id(), sandboxId: "disk", force: true }, soon());
});
