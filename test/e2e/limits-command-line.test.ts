import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { tinyImage } from "../fixtures/tiny-image.ts";
import { CommandLine } from "../harness/command-line.ts";
import { Stack } from "../harness/stack.ts";

const MIB = 1024 * 1024;
let stack: Stack;
let paddock: CommandLine;

const run = (...args: string[]) => paddock.run(args);

before(async () => {
  stack = await Stack.start();
  paddock = new CommandLine(stack);
  await stack.importImage(await tinyImage());
  const limits = ["--cpus", "0.5", "--memory", "64m", "--pids-limit", "40"];
  const size = ["--max-vcpus", "2", "--max-memory", "512m"];
  const started = await run(
    "run",
    "-d",
    "--name",
    "box",
    ...limits,
    ...size,
    "paddock/tiny",
    "sleep",
    "1000",
  );
  assert.equal(started.code, 0, started.stderr);
});
after(async () => {
  await stack?.[Symbol.asyncDispose]();
  paddock?.[Symbol.dispose]();
});

const rowsOf = (table: string): string[][] =>
  table
    .trimEnd()
    .split("\n")
    .map((line) => line.split(/ {3,}/));

const inGuest = async (...files: string[]): Promise<string[]> => {
  const paths = files.map((file) => `/sys/fs/cgroup/${file}`);
  const { stdout, stderr } = await run("exec", "box", "--", "cat", ...paths);
  assert.equal(stderr, "");
  return stdout.trimEnd().split("\n");
};

test("stats shows the VM with its limit and overhead, and its container with its limits, as a table and as JSON", async () => {
  const table = rowsOf((await run("stats", "--no-stream", "box")).stdout);
  const vm = table.find((row) => row[1] === "[vm]");
  const main = table.find((row) => row[1] === "main");
  assert.match(main?.[3] ?? "", /^[\d.]+[KM]iB \/ 64\.0MiB$/);
  assert.match(vm?.[3] ?? "", /^[\d.]+MiB \/ [\d.]+[MG]iB$/);
  assert.match(vm?.at(-1) ?? "", /^[\d.]+[KM]?i?B \/ [\d.]+MiB$/);
  const { host, containers } = JSON.parse((await run("stats", "--no-stream", "-o", "json", "box")).stdout);
  assert.ok(Number(host.memory.limitBytes) > Number(host.memory.usageBytes), JSON.stringify(host));
  assert.ok(Number(host.declaredOverheadBytes) > 0);
  assert.equal(containers[0].memory.limitBytes, String(64 * MIB));
  assert.equal(containers[0].pids.limit, "40");
});

test("update changes the limits in force in the running guest, and prints them", async () => {
  const { stdout, code, stderr } = await run(
    ...["update", "box", "--cpus", "0.75", "--memory", "80m", "--pids-limit", "50"],
  );
  assert.equal(code, 0, stderr);
  const rows = rowsOf(stdout);
  assert.deepEqual(rows[0], ["RESOURCE", "REQUESTED", "IN FORCE", "EFFECT", "REASON"]);
  const limits = rows.slice(1).filter(([resource]) => !resource?.endsWith("of the VM"));
  assert.deepEqual(limits.toSorted(), [
    ["cpus", "0.75", "0.75", "live", "-"],
    ["memory", "80.0MiB", "80.0MiB", "live", "-"],
    ["pids", "50", "50", "live", "-"],
  ]);
  assert.deepEqual(await inGuest("cpu.max", "memory.max", "pids.max"), [
    "75000 100000",
    String(80 * MIB),
    "50",
  ]);
  const [{ status }] = JSON.parse((await run("inspect", "box")).stdout);
  const [{ resources, resourcesInForce }] = status.containers;
  for (const each of [resources, resourcesInForce]) {
    assert.deepEqual([each.cpuQuotaUs, each.memoryBytes, each.pids], ["75000", String(80 * MIB), "50"]);
  }
  assert.equal(status.limits.cpuQuotaUs * 100_000, 75_000 * status.limits.cpuPeriodUs);
  const listed = rowsOf((await run("ps", "--limits")).stdout);
  assert.equal(listed[1]?.at(-2), "0.75 CPUs, 80.0MiB, 50 pids");
});

test("update grows the VM with the limits of its containers, and lets it shrink with them", async () => {
  const more = rowsOf((await run("update", "box", "--cpus", "1.5", "--memory", "300m")).stdout);
  const size = more.filter(([resource]) => resource?.endsWith("of the VM"));
  assert.deepEqual(
    size.map(([resource, , , effect]) => [resource, effect]),
    [
      ["vcpus of the VM", "live"],
      ["memory of the VM", "live"],
    ],
  );
  for (const [, requested, inForce] of size) assert.equal(inForce, requested);
  const grown = JSON.parse((await run("inspect", "box")).stdout)[0].status;
  assert.deepEqual([grown.size.vcpus, grown.wantedSize.vcpus], [2, 2]);
  assert.ok(Number(grown.size.memoryBytes) >= 300 * MIB, grown.size.memoryBytes);
  const less = await run("update", "box", "--cpus", "0.5", "--memory", "64m");
  assert.equal(less.code, 0, less.stderr);
  const shrunk = JSON.parse((await run("inspect", "box")).stdout)[0].status;
  assert.equal(shrunk.wantedSize.memoryBytes, String(256 * MIB));
  assert.equal(shrunk.limits.cpuQuotaUs * 2, Number(shrunk.limits.cpuPeriodUs));
});

test("an update beyond the maximum size of the VM is refused with a hint, and changes nothing", async () => {
  const before = await inGuest("cpu.max", "memory.max", "pids.max");
  for (const { words, why } of [
    { words: ["--cpus", "3"], why: "the VM needs 3 vCPUs and may have 2" },
    { words: ["--memory", "2g"], why: "the VM needs \\d+ bytes of memory and may have 536870912" },
  ]) {
    const { code, stdout, stderr } = await run("update", "box", "--pids-limit", "60", ...words);
    assert.deepEqual([code, stdout], [1, ""]);
    const error = `^error: cannot update container "box/main": ${why}\nhint: .+\nrequest id: cli-`;
    assert.match(stderr, new RegExp(error));
  }
  assert.deepEqual(await inGuest("cpu.max", "memory.max", "pids.max"), before);
});

test("top lists the processes of all containers of a sandbox, or of one", async () => {
  const beside = await run(
    "run",
    "-d",
    "--sandbox",
    "box",
    "--name",
    "side",
    "paddock/tiny",
    "sleep",
    "2000",
  );
  assert.equal(beside.code, 0, beside.stderr);
  const all = rowsOf((await run("top", "box")).stdout);
  assert.deepEqual(
    all.slice(1).map((row) => [row[0], row.at(-1)]),
    [
      ["main", "sleep 1000"],
      ["side", "sleep 2000"],
    ],
  );
  const one = JSON.parse((await run("top", "box", "side", "-o", "json")).stdout);
  assert.deepEqual(
    one.map((each: { containerId: string; args: string[] }) => [each.containerId, ...each.args]),
    [["side", "sleep", "2000"]],
  );
});
