/**
 * The contract of MachineCgroups, on the real cgroups of this host; needs root. It also runs in VMs with other layouts
 * (test/e2e/cgroup-layouts.test.ts), so it depends only on Node, a shell and coreutils.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { CgroupTree, readHierarchy } from "@paddock/cgroups";
import type { HostLimits } from "./machine-port.ts";
import { VmCgroups } from "./vm-cgroups.ts";

const MIB = 1024 * 1024;
const STATE = `/vm-cgroups-test/${process.pid}`;
const LIMITS: HostLimits = {
  cpu: { quotaUs: 150_000, periodUs: 100_000 },
  cpuShares: 2048,
  cpuset: undefined,
  memoryBytes: 512 * MIB,
  pids: 64,
};
let cgroups: VmCgroups;
const made: string[] = [];

before(async () => {
  cgroups = await VmCgroups.open(STATE);
});

after(async () => {
  for (const name of made) await cgroups.remove(name);
  assert.deepEqual(await cgroups.list(), []);
});

async function make(
  name: string,
  limits: Pick<HostLimits, "memoryBytes" | "pids"> = LIMITS,
): Promise<string> {
  made.push(name);
  await cgroups.create(name, limits);
  return name;
}

/** Starts a program in the cgroup; returns it with its first line. */
async function run(name: string, words: readonly string[]): Promise<{ child: ChildProcess; line: string }> {
  const [command = "", ...args] = [...cgroups.placement(name), ...words];
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
  const first = await Promise.race([once(child.stdout, "data"), once(child, "exit").then(() => [])]);
  return { child, line: String(first[0] ?? "").trim() };
}

/** Holds 64 MiB, prints a line, and ends with its input. */
const HOLD = [
  process.execPath,
  "-e",
  'const held = Buffer.alloc(2 ** 26, 1); console.log("up"); process.stdin.on("end", () => held.fill(2)).resume();',
];
/** Allocates without end. */
const EAT = [process.execPath, "-e", "const all = []; for (;;) all.push(Buffer.alloc(2 ** 20, 1));"];
/** Two threads that burn CPU time: the main thread, and a second one whose id is printed. */
const BURN = `
  new (require("node:worker_threads").Worker)(\`
    const { readlinkSync, writeSync } = require("node:fs");
    writeSync(1, readlinkSync("/proc/thread-self").split("/").at(-1) + "\\\\n");
    for (;;);\`, { eval: true });
  for (;;);`;

/** CPU time that the kernel counted for one thread, in microseconds. */
function ranUs(child: ChildProcess, thread: number): number {
  const text = readFileSync(`/proc/${child.pid}/task/${thread}/schedstat`, "utf8");
  return Number(text.split(" ")[0]) / 1000;
}

test("applied limits are read back from the kernel, and a cap can be lifted", async () => {
  const name = await make("limits");
  await cgroups.apply(name, LIMITS);
  const { cpuShares, ...limits } = await cgroups.limits(name);
  const { cpuShares: _, ...expected } = LIMITS;
  assert.deepEqual(limits, expected);
  assert.ok(
    Math.abs(cpuShares - LIMITS.cpuShares) <= 26,
    `shares ${cpuShares}: a weight of v2 stands for 26`,
  );
  await cgroups.apply(name, { ...LIMITS, cpu: { quotaUs: 25_000, periodUs: 50_000 }, cpuset: "0" });
  const next = await cgroups.limits(name);
  assert.deepEqual([next.cpu, next.cpuset], [{ quotaUs: 25_000, periodUs: 50_000 }, "0"]);
  await cgroups.apply(name, { ...LIMITS, cpu: undefined, cpuset: undefined });
  const lifted = await cgroups.limits(name);
  assert.deepEqual([lifted.cpu, lifted.cpuset], [undefined, undefined]);
});

test("the memory limit can be raised and lowered repeatedly", async () => {
  const name = await make("sizes");
  for (const mib of [256, 1024, 64, 65, 512]) {
    await cgroups.apply(name, { ...LIMITS, memoryBytes: mib * MIB });
    assert.equal((await cgroups.limits(name)).memoryBytes, mib * MIB);
  }
});

test("the cap limits the vCPU threads and not the machine's other threads; the time of all is counted", async () => {
  const name = await make("cap");
  const { child, line } = await run(name, [process.execPath, "-e", BURN]);
  const thread = Number(line);
  // A thread that has ended is not an error, nor is one that is in the leaf.
  await cgroups.placeVcpus(name, [thread, 2 ** 22 - 1]);
  await cgroups.placeVcpus(name, [thread]);
  await cgroups.apply(name, { ...LIMITS, cpu: { quotaUs: 5000, periodUs: 50_000 } });
  const from = await cgroups.usage(name);
  const ranBefore = ranUs(child, thread);
  let to = from;
  let ran = 0;
  // A period is counted when it ends, throttled time when the threads continue.
  while (to.throttledPeriods < from.throttledPeriods + 10n || to.throttledUs === from.throttledUs) {
    await delay(50);
    ran = ranUs(child, thread) - ranBefore;
    to = await cgroups.usage(name);
  }
  assert.ok(to.throttledUs > from.throttledUs);
  const periods = Number(to.periods - from.periods);
  assert.ok(periods >= Number(to.throttledPeriods - from.throttledPeriods));
  // A period may be exceeded by a clock tick, which the next one repays; uncapped it could be ten times the quota.
  assert.ok(ran <= 2 * 5000 * (periods + 2), `${ran} us in ${periods} periods`);
  assert.ok(to.cpuUs > from.cpuUs && to.cpuUserUs > from.cpuUserUs);
  assert.ok(to.threads >= 2 && to.memoryBytes > 0 && to.memoryPeakBytes >= to.memoryBytes - 16 * MIB);
  const closed = once(child, "close");
  await cgroups.remove(name);
  await closed;
});

test("a machine that exceeds its memory limit is killed alone, and the kill is counted in its cgroup", async () => {
  const [greedy, other] = [await make("greedy", { ...LIMITS, memoryBytes: 96 * MIB }), await make("other")];
  const held = await run(other, HOLD);
  const eater = await run(greedy, EAT);
  const code = eater.child.signalCode ?? (await once(eater.child, "exit"))[1];
  assert.equal(code, "SIGKILL");
  assert.deepEqual([await cgroups.oomKills(greedy), await cgroups.oomKills(other)], [1, 0]);
  const usage = await cgroups.usage(greedy);
  assert.ok(
    usage.memoryMaxEvents > 0n && usage.memoryPeakBytes <= 96 * MIB,
    JSON.stringify(usage.memoryPeakBytes),
  );
  assert.equal(held.child.exitCode ?? held.child.signalCode, null, "the other one still runs");
  held.child.stdin?.end();
  await once(held.child, "exit");
});

test("the page cache of a machine's files is counted apart from its memory", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "vm-cgroups-cache-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const name = await make("cache");
  const write = 'dd if=/dev/zero of="$0" bs=1M count=96 2>/dev/null; echo up; cat';
  const { child, line } = await run(name, ["sh", "-c", write, join(directory, "written")]);
  assert.equal(line, "up");
  const { memoryBytes, memoryCacheBytes, memoryPeakBytes } = await cgroups.usage(name);
  child.stdin?.end();
  // On a file system in memory there is no reclaimable cache.
  const sum = memoryBytes + memoryCacheBytes;
  assert.ok(sum <= memoryPeakBytes + 16 * MIB, `${memoryBytes} + ${memoryCacheBytes} > ${memoryPeakBytes}`);
});

test("a limit below the memory in use is refused, kills nothing and changes nothing", async () => {
  const name = await make("below");
  const { child, line } = await run(name, HOLD);
  assert.equal(line, "up");
  await assert.rejects(cgroups.apply(name, { ...LIMITS, memoryBytes: 8 * MIB }), { kind: "busy" });
  assert.equal((await cgroups.limits(name)).memoryBytes, LIMITS.memoryBytes);
  assert.equal(child.exitCode ?? child.signalCode, null);
  assert.equal(await cgroups.oomKills(name), 0);
  child.stdin?.end();
  await once(child, "exit");
});

test("no more processes than allowed can be created", async () => {
  const name = await make("forks", { ...LIMITS, pids: 4 });
  const { child } = await run(name, [
    "sh",
    "-c",
    "echo up; exec 2>/dev/null; for i in 1 2 3 4 5 6 7 8; do sleep 60 & done; wait",
  ]);
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  assert.notEqual(child.exitCode, 0);
  assert.ok((await cgroups.usage(name)).threads <= 4);
});

test("removal ends the processes, even exiting ones, and succeeds when there is no cgroup", async () => {
  const name = await make("removed");
  const { child } = await run(name, ["sh", "-c", "echo up; sleep 60 & sleep 60"]);
  child.kill("SIGKILL");
  await Promise.all([cgroups.remove(name), cgroups.remove(name)]);
  await cgroups.remove(name);
  assert.ok(!(await cgroups.list()).includes(name));
});

test("a cgroup without a leaf, as earlier versions created it, is found, used and removed", async () => {
  const prefix = createHash("sha256").update(STATE).digest("hex").slice(0, 8);
  const tree = await CgroupTree.open(await readHierarchy());
  await tree.create(`${prefix}-flat`);
  made.push("flat");
  assert.ok((await cgroups.list()).includes("flat"));
  assert.equal((await run("flat", ["echo", "up"])).line, "up");
  await cgroups.placeVcpus("flat", []);
  await cgroups.apply("flat", LIMITS);
  assert.deepEqual((await cgroups.limits("flat")).cpu, LIMITS.cpu);
  await cgroups.remove("flat");
  assert.ok(!(await cgroups.list()).includes("flat"));
});

const hierarchy = await readHierarchy();
const noV2 = hierarchy.v2 === undefined && "no v2 mount";

test("a daemon started in another v2 cgroup finds the cgroups of an earlier one, with and without processes", {
  skip: noV2,
}, async (t) => {
  const mount = hierarchy.v2?.mountPoint ?? "";
  const stateDir = mkdtempSync(join(tmpdir(), "cgroup-trees-"));
  t.after(() => rmSync(stateDir, { recursive: true, force: true }));
  const started = async (cgroup: string) => {
    const ownV2Path = `/vm-cgroups-${process.pid}-${cgroup}`;
    mkdirSync(join(mount, ownV2Path), { recursive: true });
    t.after(() => removeTree(join(mount, ownV2Path)));
    // On a hybrid host this mount has no controllers, but placement and kill work.
    return await VmCgroups.open(stateDir, { ...hierarchy, layout: "v2", v1: new Map(), ownV2Path });
  };
  const names = ["0".repeat(16), "1".repeat(16)] as const;
  const first = await started("shell");
  for (const name of names) await treeOnly(first, name);
  const [command = "", ...args] = [...first.placement(names[0]), "sh", "-c", "echo up; sleep 60"];
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");

  const second = await started("service");
  assert.deepEqual([...(await second.list())].sort(), [...names]);
  await second.remove(names[1]);
  assert.deepEqual(await second.list(), [names[0]]);
  rmSync(join(stateDir, "cgroup-trees"));
  const third = await started("another");
  assert.deepEqual(await third.list(), [names[0]], "found by its processes, without a record");
  assert.notEqual(
    third.placement(names[1])[4],
    first.placement(names[1])[4],
    "new ones are created below its own cgroup",
  );
  const closed = once(child, "close");
  await third.remove(names[0]);
  await closed;
  assert.deepEqual(await third.list(), []);
});

/** Creates only its directory: limits need controllers. */
async function treeOnly(tree: VmCgroups, name: string): Promise<void> {
  const procs = tree.placement(name).find((word) => word.endsWith("cgroup.procs")) ?? "";
  mkdirSync(dirname(procs));
}

/** Removes a tree of cgroups, whose files exist as long as their directories. */
function removeTree(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true }))
    if (entry.isDirectory()) removeTree(join(path, entry.name));
  rmdirSync(path);
}
