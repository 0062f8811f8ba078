import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, test } from "node:test";
import { PaddockError } from "@paddock/domain";
import { SandboxState, StopCause } from "@paddock/protocol";
import { EventLog } from "../harness/event-log.ts";
import { exec } from "../harness/exec.ts";
import { machinesOf } from "../harness/machines.ts";
import { idle, runIdle } from "../harness/sandbox.ts";
import { inSeconds, Stack } from "../harness/stack.ts";
import { vmOf } from "../harness/vm-of.ts";

const DISK_MIB = 256;

let stack: Stack;
let mount: string;
let state: string;
let image: string;
const id = () => ({ requestId: randomUUID() });
const soon = () => ({ deadline: inSeconds(60) });

before(async () => {
  mount = mkdtempSync(join(tmpdir(), "disk-"));
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${DISK_MIB}m,mode=0711`, "tmpfs", mount]);
  state = join(mount, "state");
  mkdirSync(state);
  chmodSync(state, 0o711);
  stack = await Stack.start({ PADDOCK_STATE_DIR: state, PADDOCK_DISK_FLOOR_BYTES: "0" });
  image = await stack.tinyImage();
  for (const sandboxId of ["healthy", "other"]) await runIdle(stack, sandboxId);
});
after(async () => {
  rmSync(join(mount, "ballast"), { force: true });
  await stack?.[Symbol.asyncDispose]();
  execFileSync("umount", [mount]);
  rmSync(mount, { recursive: true, force: true });
});

/** The process of a sandbox's VM. */
function machineOf(sandboxId: string): number {
  const { dir } = vmOf(state, sandboxId);
  const pid = machinesOf(state).find((each) => readFileSync(`/proc/${each}/cmdline`, "latin1").includes(dir));
  return Number(pid ?? assert.fail(`${sandboxId} has no VM`));
}

const userOf = (pid: number) => /^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];

/** Pid and start time of the init of a sandbox's container. */
const lifeOf = async (sandboxId: string) => {
  const args = ["cut", "-d ", "-f1,22", "/proc/1/stat"];
  return (await exec(stack.client, args, { sandboxId, containerId: "c1" })).stdout;
};

/** Writes the guests' caches to the disk, so that they need no more space later. */
async function writtenOut(...sandboxIds: string[]): Promise<void> {
  for (const sandboxId of sandboxIds) await exec(stack.client, ["sync"], { sandboxId, containerId: "c1" });
}

/** The detail of a sandbox's health in its status. */
async function unhealthy(sandboxId: string): Promise<string | undefined> {
  const { status } = await stack.client.sandboxes.getSandboxStatus({ sandboxId }, soon());
  return status?.health?.detail;
}

const reasonOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => "none",
    (error: unknown) => (error instanceof PaddockError ? error.reason : String(error)),
  );

/** Fills the disk to the last byte. */
function fillUp(): void {
  const ballast = join(mount, "ballast");
  for (const step of [Buffer.alloc(1 << 20), Buffer.alloc(4096)])
    for (;;) {
      const { bavail, bsize } = statfsSync(mount);
      if (bavail * bsize < step.length) break;
      appendFileSync(ballast, step);
    }
}

const makeRoom = () => rmSync(join(mount, "ballast"));

test("on a full disk calls fail with a reason, sandboxes keep running and can be paused, resumed and deleted, and a lost VM is reported", async () => {
  const { sandboxes } = stack.client;
  await using log = await EventLog.start(stack.client);
  const life = await lifeOf("healthy");
  const daemon = stack.nodePid;
  await writtenOut("healthy", "other");
  fillUp();
  const spec = { containers: [{ containerId: "c1", image, process: idle }] };
  assert.equal(
    await reasonOf(sandboxes.createSandbox({ ...id(), sandboxId: "third", spec }, soon())),
    "NO_DISK_SPACE",
  );
  // The database has reserved space.
  await sandboxes.pauseSandbox({ ...id(), sandboxId: "healthy" }, soon());
  await sandboxes.resumeSandbox({ ...id(), sandboxId: "healthy" }, soon());
  process.kill(machineOf("other"), "SIGKILL");
  await assert.rejects(lifeOf("other"), PaddockError);
  for (let round = 0; round < 10; round++) assert.equal(await lifeOf("healthy"), life);
  const reported = await log.find(
    ({ sandboxId, change }) =>
      sandboxId === "other" && change.case === "sandboxState" && change.value === SandboxState.STOPPED,
  );
  assert.equal(reported.cause, StopCause.VM_LOST);
  assert.equal(stack.nodePid, daemon);
  await sandboxes.deleteSandbox({ ...id(), sandboxId: "other" }, soon());
  makeRoom();
});

test("a VM that writes on a full disk stops and reports why while others run, and continues without loss when there is space", {
  timeout: 120_000,
}, async () => {
  await using log = await EventLog.start(stack.client);
  const turns = (healthy: boolean) =>
    log.find(
      ({ sandboxId, change }) =>
        sandboxId === "writer" && change.case === "health" && change.value.healthy === healthy,
    );
  await runIdle(stack, "writer");
  await writtenOut("healthy");
  const at = { sandboxId: "writer", containerId: "c1" };
  fillUp();
  const script = "head -c 8388608 /dev/urandom > /big; md5sum < /big > /sum; sync; exit 7";
  const writing = exec(stack.client, ["sh", "-c", script], { ...at, execId: "writing" });
  // Its output ends when the daemon stops.
  const cut = assert.rejects(writing, { kind: "unavailable" });
  const why = "the VM of sandbox writer is suspended: its node's disk is full";
  await turns(false);
  assert.equal(await unhealthy("writer"), why);
  await assert.rejects(lifeOf("writer"), { reason: "NO_DISK_SPACE", message: why });
  await lifeOf("healthy");
  await stack.stopNode();
  await stack.startNode();
  assert.equal(await unhealthy("writer"), why);
  await lifeOf("healthy");
  makeRoom();
  await turns(true);
  assert.equal(await unhealthy("writer"), "");
  await cut;
  const ended = await stack.client.processes.waitProcess({ ...at, execId: "writing" }, soon());
  assert.equal(ended.status?.code, 7);
  const check = await exec(stack.client, ["sh", "-c", "md5sum < /big | diff - /sum"], at);
  assert.deepEqual([check.stdout, check.status.code], ["", 0]);
  const host = Date.now();
  const guest = Number((await exec(stack.client, ["date", "+%s"], at)).stdout) * 1000;
  assert.ok(Math.abs(guest - host) < 5000, `the guest's clock is off by ${guest - host} ms`);
  await stack.client.sandboxes.deleteSandbox({ ...id(), sandboxId: "writer", force: true }, soon());
});

test("an unreadable record affects only its sandbox: the VM keeps running, no other VM gets its user, and a deletion with force works", async () => {
  const { sandboxes } = stack.client;
  await runIdle(stack, "spoiled");
  const machine = machineOf("spoiled");
  await stack.killNode();
  {
    using database = new DatabaseSync(join(state, "node.db"));
    database.prepare("UPDATE sandbox SET record = substr(record, 10) WHERE id = ?").run("spoiled");
  }
  await stack.startNode();
  const spoiled = { sandboxId: "spoiled" };
  for (const call of [
    () => sandboxes.getSandbox(spoiled, soon()),
    () => sandboxes.stopSandbox({ ...id(), ...spoiled }, soon()),
    () => exec(stack.client, ["true"], { ...spoiled, containerId: "c1" }),
  ])
    assert.equal(await reasonOf(call()), "RECORD_CORRUPT");
  assert.equal(machineOf("spoiled"), machine);
  await lifeOf("healthy");
  await runIdle(stack, "newcomer");
  assert.notEqual(userOf(machineOf("newcomer")), userOf(machine));
  await sandboxes.deleteSandbox({ ...id(), ...spoiled, force: true }, soon());
  assert.equal(machinesOf(state).includes(String(machine)), false);
  await sandboxes.deleteSandbox({ ...id(), sandboxId: "newcomer", force: true }, soon());
});

test("a daemon whose state directory is read-only does not start, reports why, and does not touch the VMs", async () => {
  const life = await lifeOf("healthy");
  const machines = machinesOf(state);
  await stack.stopNode();
  const readOnly = `mount --bind ${state} ${state} && mount -o remount,bind,ro ${state} && exec "$0" "$@"`;
  await assert.rejects(
    stack.startNode(["unshare", "--mount", "sh", "-c", readOnly]),
    /the node's state cannot be written/,
  );
  assert.deepEqual(machinesOf(state), machines);
  await stack.startNode();
  assert.equal(await lifeOf("healthy"), life);
});

test("a reboot of the host is distinguished from a restart of the daemon", async () => {
  const { sandboxes } = stack.client;
  const sandboxId = "healthy";
  const bootId = join(mount, "boot-id");
  writeFileSync(bootId, `${randomUUID()}\n`);
  const elsewhen = `mount --bind ${bootId} /proc/sys/kernel/random/boot_id && exec "$0" "$@"`;
  const later = ["unshare", "--mount", "sh", "-c", elsewhen];
  await stack.stopNode();
  process.kill(machineOf(sandboxId), "SIGKILL");
  await stack.startNode(later);
  const { status } = await sandboxes.getSandboxStatus({ sandboxId }, soon());
  assert.equal(status?.state, SandboxState.STOPPED);
  assert.equal(status?.stopCause, StopCause.HOST_RESTART);
  assert.equal(status?.containers[0]?.stopCause, StopCause.HOST_RESTART);
  assert.equal(status?.containers[0]?.exitStatus, undefined);
  await sandboxes.startSandbox({ ...id(), sandboxId }, soon());
  const life = await lifeOf(sandboxId);
  await stack.stopNode();
  await stack.startNode(later);
  assert.equal(await lifeOf(sandboxId), life, "the VM of this boot keeps running");
});
