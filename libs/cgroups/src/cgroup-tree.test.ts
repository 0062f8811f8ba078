/**
 * Runs on this host's real cgroup file systems, in a subtree of its own; needs root or delegation. It also runs in VMs with other
 * layouts (test/e2e/cgroup-layouts.test.ts), so it depends only on Node, a shell and coreutils.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { rmdir } from "node:fs/promises";
import { dirname } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { Cgroup } from "./cgroup.ts";
import { CgroupTree } from "./cgroup-tree.ts";
import { cpuFiles, weightOfShares } from "./cpu.ts";
import { readHierarchy } from "./hierarchy.ts";
import { memoryFiles } from "./memory.ts";
import { pidsFiles } from "./pids.ts";

let tree: CgroupTree;
const parent = `paddock-test-${process.pid}`;

before(async () => {
  tree = await CgroupTree.open(await readHierarchy(), { parent });
});

after(async () => {
  for (const root of new Set(tree.roots.values())) {
    await rmdir(root);
    await rmdir(dirname(root));
  }
});

async function withCgroup(name: string, body: (cgroup: Cgroup) => Promise<void>): Promise<void> {
  const cgroup = await tree.create(name);
  try {
    await body(cgroup);
  } finally {
    await cgroup.killAll();
    await cgroup.remove();
  }
}

/** Runs a shell line inside the cgroup and returns its output. */
async function shellIn(cgroup: Cgroup, line: string): Promise<{ code: number | null; out: string }> {
  const [command = "", ...args] = [...cgroup.placement(), "sh", "-c", line];
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
  let out = "";
  child.stdout.on("data", (chunk: Buffer) => {
    out += chunk.toString();
  });
  const [code] = await once(child, "close");
  return { code, out };
}

test("a process is in its cgroup from its first instruction, in every hierarchy", async () => {
  await withCgroup("placed", async (cgroup) => {
    const { code, out } = await shellIn(cgroup, "cat /proc/self/cgroup");
    assert.equal(code, 0);
    const mine = out.split("\n").filter((line) => line.endsWith(`/${parent}/paddock/placed`));
    assert.equal(mine.length, new Set(cgroup.directories.values()).size);
  });
});

test("arguments reach the placed program unchanged", async () => {
  await withCgroup("words", async (cgroup) => {
    const words = ["a b", "--", "$HOME", "it's", ""];
    const [command = "", ...args] = [...cgroup.placement(), "printf", "<%s>", ...words];
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
    const chunks: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    await once(child, "close");
    assert.equal(Buffer.concat(chunks).toString(), words.map((word) => `<${word}>`).join(""));
  });
});

test("a program is not run when its cgroup is gone", async () => {
  const cgroup = tree.get("never-made");
  const { code, out } = await shellIn(cgroup, "echo ran");
  assert.deepEqual({ code, out }, { code: 125, out: "" });
});

test("usage is read from the kernel's counters", async () => {
  await withCgroup("usage", async (cgroup) => {
    await shellIn(cgroup, "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done");
    const usage = await cgroup.usage();
    assert.ok(usage.cpuNs === undefined || usage.cpuNs > 1_000_000n, `cpu ${usage.cpuNs}`);
    assert.ok(usage.oomKills === undefined || usage.oomKills === 0);
    assert.equal(usage.pids ?? 0, 0);
  });
});

test("applied limits are in force", async () => {
  await withCgroup("limits", async (cgroup) => {
    const { version } = cgroup;
    const files = [
      ...cpuFiles(version, { quotaUs: 50_000, shares: 512 }),
      ...memoryFiles(version, { limitBytes: 64 * 1024 * 1024 }),
      ...pidsFiles({ max: 5 }),
    ].filter((file) => cgroup.directories.has(file.controller));
    assert.ok(files.length > 0, "this host has at least one controller");
    await cgroup.apply(files);
    for (const { controller, file, value, optional } of files) {
      if (optional === true || (file === "cpu.cfs_quota_us" && value === "-1")) continue;
      const text = readFileSync(`${cgroup.directories.get(controller)}/${file}`, "utf8").trim();
      assert.equal(text, value, file);
    }
  });
});

test("a limit for a missing controller is refused, not ignored", async () => {
  const bare = tree.get("bare");
  const files = [{ controller: "memory", file: "no.such.file", value: "1" }] as const;
  await assert.rejects(bare.apply(files), { kind: "refused" });
});

test("killAll leaves no process, and removing twice is not an error", async () => {
  const cgroup = await tree.create("killed");
  const [command = "", ...args] = [...cgroup.placement(), "sh", "-c", "echo up; sleep 60 & sleep 60"];
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  assert.ok((await cgroup.pids()).length >= 1);
  await assert.rejects(cgroup.remove(0), { kind: "busy" });
  await cgroup.killAll();
  assert.deepEqual(await cgroup.pids(), []);
  await cgroup.remove();
  await cgroup.remove();
  assert.equal(await cgroup.exists(), false);
});

test("names are listed, and create is idempotent", async () => {
  await withCgroup("twice", async (first) => {
    const second = await tree.create("twice");
    assert.deepEqual(second.directories, first.directories);
    assert.deepEqual(await tree.list(), ["twice"]);
  });
  assert.deepEqual(await tree.list(), []);
});

for (const name of ["", ".", "..", "../other", "a/b", "-x", "a\0b", "x".repeat(129)]) {
  test(`the name ${JSON.stringify(name.slice(0, 12))} never becomes a path`, () => {
    assert.throws(() => tree.get(name), { kind: "invalid" });
  });
}

test("a parent with .. is refused", async () => {
  await assert.rejects(CgroupTree.open(await readHierarchy(), { parent: "a/../../b" }), { kind: "invalid" });
});

const hierarchy = await readHierarchy();
const noV2 = hierarchy.v2 === undefined && "no v2 mount";

test("under v2 a process is placed, counted and killed, and the cgroup is removed", {
  skip: noV2,
}, async () => {
  // On a hybrid host the v2 mount has no controllers, but placement, CPU time and cgroup.kill work.
  const v2 = await CgroupTree.open({ ...hierarchy, layout: "v2", v1: new Map() }, { parent: `${parent}-v2` });
  const root = v2.roots.get("cpu") ?? "";
  const cgroup = await v2.create("one");
  const [command = "", ...args] = [...cgroup.placement(), "sh", "-c", "echo up; sleep 60 & sleep 60"];
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  assert.ok((await cgroup.pids()).includes(child.pid ?? 0));
  assert.ok(((await cgroup.usage()).cpuNs ?? 0n) > 0n);
  await cgroup.killAll();
  await cgroup.remove();
  assert.deepEqual(await v2.list(), []);
  await rmdir(root);
  await rmdir(dirname(root));
});

/** Two threads that burn CPU time: the main thread, and a second one whose id is printed. */
const TWO_THREADS = `
  new (require("node:worker_threads").Worker)(\`
    const { readlinkSync, writeSync } = require("node:fs");
    writeSync(1, readlinkSync("/proc/thread-self").split("/").at(-1) + "\\\\n");
    for (;;);\`, { eval: true });
  for (;;);`;

test("a leaf caps the threads in it and no other threads of the process", async () => {
  await withCgroup("threads", async (cgroup) => {
    const leaf = cgroup.leaf("vcpu");
    await leaf.create();
    const [command = "", ...args] = [...cgroup.placement(), process.execPath, "-e", TWO_THREADS];
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = await once(child.stdout, "data");
    const thread = Number(String(line));
    await leaf.place([thread]);
    await leaf.place([thread]);
    assert.deepEqual(await leaf.threads(), [thread]);
    await leaf.apply(cpuFiles(cgroup.version, { quotaUs: 2000, periodUs: 100_000 }));
    assert.deepEqual((await leaf.limits()).cpu, { quotaUs: 2000, periodUs: 100_000 });
    const before = await leaf.usage();
    while (((await leaf.usage()).throttledPeriods ?? 0n) < (before.throttledPeriods ?? 0n) + 5n)
      await delay(50);
    assert.equal((await cgroup.usage()).throttledPeriods ?? 0n, 0n, "the cgroup above has no cap");
    const [all, capped] = [await cgroup.usage(), await leaf.usage()];
    assert.ok(
      (all.cpuNs ?? 0n) > (capped.cpuNs ?? 0n),
      "the CPU time of a leaf also counts in the cgroup above",
    );
    const closed = once(child, "close");
    await cgroup.killAll();
    await closed;
  });
});

test("a process with a very low CPU cap ends at once when it is killed", async () => {
  const cgroup = await tree.create("starved");
  await cgroup.apply(cpuFiles(cgroup.version, { quotaUs: 1000, periodUs: 1_000_000 }));
  const [command = "", ...args] = [...cgroup.placement(), "sh", "-c", "while :; do :; done"];
  const child = spawn(command, args, { stdio: "ignore" });
  while (((await cgroup.usage()).throttledPeriods ?? 0n) < 1n) await delay(50);
  const closed = once(child, "close");
  await cgroup.killAll();
  assert.equal((await cgroup.limits()).cpu, undefined, "the cap is lifted");
  await closed;
  await cgroup.remove();
});

test("placing an ended thread is not an error, and a leaf is removed with its cgroup", async () => {
  const cgroup = await tree.create("leaf");
  const leaf = cgroup.leaf("vcpu");
  await leaf.create();
  await leaf.create();
  await leaf.place([2 ** 22 - 1]);
  assert.deepEqual(await leaf.threads(), []);
  await cgroup.remove();
  assert.equal(await cgroup.exists(), false);
});

test("a thread of another process is not moved when a caller names it", async () => {
  await withCgroup("foreign", async (cgroup) => {
    const leaf = cgroup.leaf("vcpu");
    await leaf.create();
    const child = spawn("sleep", ["60"], { stdio: "ignore" });
    try {
      await leaf.place([child.pid ?? 0, -1]);
      assert.deepEqual(await leaf.threads(), []);
    } finally {
      child.kill("SIGKILL");
    }
  });
});

test("limits are read back from the kernel", async () => {
  await withCgroup("limits", async (cgroup) => {
    const { version } = cgroup;
    const unlimited = await cgroup.limits();
    assert.deepEqual(
      [unlimited.cpu, unlimited.memoryBytes, unlimited.pids],
      [undefined, undefined, undefined],
    );
    const limitBytes = 64 * 1024 * 1024;
    await cgroup.apply([
      ...cpuFiles(version, { shares: 2048, quotaUs: 12_345, periodUs: 50_000 }),
      ...memoryFiles(version, { limitBytes }),
      ...pidsFiles({ max: 7 }),
    ]);
    const { cpus: _, shares, ...limits } = await cgroup.limits();
    // A v2 weight covers about 26 shares.
    assert.equal(weightOfShares(shares ?? 2), weightOfShares(2048));
    assert.deepEqual(limits, {
      cpu: { quotaUs: 12_345, periodUs: 50_000 },
      memoryBytes: limitBytes,
      pids: 7,
    });
  });
});
