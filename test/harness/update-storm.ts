/**
 * Random updates of the limits of many sandboxes at once, while loads run in them. Then record, status, the host's kernel and the
 * guests' kernels must agree to the byte and the microsecond. After the deletes nothing may be left.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { ContainerLimits, VmSize } from "@paddock/domain";
import type { ContainerStatus, SandboxStatus } from "@paddock/protocol";
import { busy, runContainers } from "./cpu-load.ts";
import { exec } from "./exec.ts";
import { HostCgroup } from "./host-cgroup.ts";
import { idle } from "./sandbox.ts";
import { type Random, seededRandom } from "./seeded-random.ts";
import { inSeconds, Stack } from "./stack.ts";
import {
  afterUpdate,
  CONTAINERS,
  type ContainerName,
  expectedInGuest,
  expectedOnHost,
  type Limits,
  randomUpdate,
  startLimits,
  wanted,
} from "./storm-model.ts";

export type StormOptions = {
  /** A stack from `stormStack`. */
  readonly stack: Stack;
  readonly seed: number;
  readonly sandboxes: number;
  /** The number of updates of all sandboxes together. */
  readonly updates: number;
  readonly log?: (line: string) => void;
};

export type StormResult = {
  readonly taken: number;
  /** Refused because the VM may not grow that far. They must change nothing. */
  readonly refused: number;
  /** Milliseconds of each update. */
  readonly tookMs: readonly number[];
  /** VMs whose guest had not returned all memory at the end. The host's limit must match the guest's memory. */
  readonly unsettled: number;
};

/** At boot and at most: a vCPU plugged into a busy VM crashes QEMU 7.2 under software emulation, see test/bench/README.md. */
const VCPUS = 2;
const UPDATE_SECONDS = 120;
const SETTLE_MS = 60_000;
/** Boots and updates at a time. */
const AT_ONCE = 3;

type Subject = {
  readonly sandboxId: string;
  readonly size: VmSize;
  readonly random: Random;
  limits: Limits;
};

/** A stack with room for many sandboxes on a host with few CPUs. */
export const stormStack = (): Promise<Stack> => Stack.start({ PADDOCK_CPU_OVERCOMMIT: "32" });

/** Throws at the first difference, with the name of the sandbox. Without a difference, deletes all its sandboxes. */
export async function updateStorm(options: StormOptions): Promise<StormResult> {
  const { stack, seed, sandboxes, updates, log = () => {} } = options;
  const tally = { taken: 0, refused: 0, unsettled: 0, tookMs: [] as number[] };
  const ids = Array.from({ length: sandboxes }, (_, index) => `storm-${index}`);
  const subjects: Subject[] = [];
  await inParallel(ids, async (sandboxId, index) => {
    subjects.push(await begin(stack, sandboxId, seededRandom(seed + index)));
    log(`${sandboxId} runs`);
  });
  await inParallel(subjects, async (subject, index) => {
    const share = Math.floor(updates / sandboxes) + (index < updates % sandboxes ? 1 : 0);
    for (let left = share; left > 0; left--) await update(stack, subject, tally);
    log(`${subject.sandboxId} had ${share} updates`);
  });
  for (const subject of subjects) {
    if (!(await settled(stack, subject))) tally.unsettled++;
    await compare(stack, subject);
    log(`${subject.sandboxId} agrees`);
  }
  await inParallel(subjects, ({ sandboxId }) => remove(stack, sandboxId));
  return tally;
}

async function begin(stack: Stack, sandboxId: string, random: Random): Promise<Subject> {
  const limits = startLimits();
  await runContainers(
    stack,
    sandboxId,
    [
      { containerId: "busy", process: busy(1), resources: initOf(limits.busy) },
      { containerId: "idle", process: idle, resources: initOf(limits.idle) },
    ],
    VCPUS,
  );
  const { size: boot, maxSize: most } = await statusOf(stack, sandboxId);
  const size = {
    vcpus: boot?.vcpus ?? 0,
    maxVcpus: most?.vcpus ?? 0,
    memoryBytes: Number(boot?.memoryBytes),
    maxMemoryBytes: Number(most?.memoryBytes),
  };
  return { sandboxId, size, random, limits };
}

async function update(
  stack: Stack,
  subject: Subject,
  tally: { taken: number; refused: number; tookMs: number[] },
): Promise<void> {
  const { sandboxId, random, limits, size } = subject;
  const containerId = random.pick(CONTAINERS);
  const change = randomUpdate(random, containerId, limits[containerId]);
  const next = afterUpdate(limits, containerId, change, size);
  const began = performance.now();
  const refusal = await stack.client.containers
    .updateContainer(
      { requestId: randomUUID(), sandboxId, containerId, resources: initOf(change) },
      { deadline: inSeconds(UPDATE_SECONDS) },
    )
    .then(
      () => undefined,
      (error: unknown) => {
        if (next === undefined && reasonOf(error) === "NO_CAPACITY") return "NO_CAPACITY";
        throw new Error(`${sandboxId}: ${containerId} was refused ${show(change)}`, { cause: error });
      },
    );
  tally.tookMs.push(performance.now() - began);
  if (refusal === undefined && next === undefined)
    throw new Error(`${sandboxId}: ${containerId} took ${show(change)}, more than its VM may have`);
  if (next) subject.limits = next;
  if (next) tally.taken++;
  else tally.refused++;
}

/** Whether the guest reaches the size that its containers need within a minute. */
async function settled(stack: Stack, { sandboxId }: Subject): Promise<boolean> {
  for (const deadline = performance.now() + SETTLE_MS; performance.now() < deadline; ) {
    const { size, wantedSize } = await statusOf(stack, sandboxId);
    if (size?.vcpus === wantedSize?.vcpus && size?.memoryBytes === wantedSize?.memoryBytes) return true;
    await delay(200);
  }
  return false;
}

async function compare(stack: Stack, { sandboxId, limits, size }: Subject): Promise<void> {
  const status = await statusOf(stack, sandboxId);
  const need = wanted(limits, size);
  same(
    sandboxId,
    "the size it needs",
    { vcpus: status.wantedSize?.vcpus, memoryBytes: Number(status.wantedSize?.memoryBytes) },
    need,
  );
  const kernel = new HostCgroup(stack.stateDirectory, sandboxId).limits();
  const vcpus = status.size?.vcpus ?? 0;
  const host = expectedOnHost(limits, vcpus);
  const overhead = Number(status.limits?.memoryOverheadBytes ?? 0);
  const memoryBytes = Number(status.size?.memoryBytes) + overhead;
  same(
    sandboxId,
    "the host's kernel",
    { cpu: kernel.cpu, memoryBytes: kernel.memoryBytes, shares: kernel.shares },
    { cpu: host.cpu, memoryBytes, shares: host.cpuShares },
  );
  if (host.cpuset !== undefined) same(sandboxId, "the host's CPUs", kernel.cpus, host.cpuset);
  same(sandboxId, "the host's limits in the status", hostLimitsOf(status), {
    cpuQuotaUs: host.cpu?.quotaUs ?? -1,
    cpuPeriodUs: host.cpu?.periodUs ?? Number(status.limits?.cpuPeriodUs),
    cpuShares: host.cpuShares,
    cpusetCpus: host.cpuset === allHostCpus() ? "" : (host.cpuset ?? ""),
    memoryBytes,
  });
  for (const name of CONTAINERS) {
    const { container } = await stack.client.containers.getContainerStatus(
      { sandboxId, containerId: name },
      { deadline: inSeconds(30) },
    );
    const what = (which: string) => `${which} of container ${name}`;
    same(sandboxId, what("the record"), plain(container?.resources), plain(limits[name]));
    same(sandboxId, what("the status"), plain(container?.resourcesInForce), plain(limits[name]));
    const guest = await readGuest(stack, sandboxId, name);
    same(sandboxId, what("the guest's kernel"), guest, expectedInGuest(limits, name, vcpus));
  }
}

/** The control files of a container, read inside it. `io.max` has a line for each disk; the limits of all lines must be equal. */
async function readGuest(
  stack: Stack,
  sandboxId: string,
  containerId: ContainerName,
): Promise<Record<string, string>> {
  const files = ["cpu.max", "cpu.weight", "cpuset.cpus.effective", "memory.max", "pids.max"];
  const script = `cd /sys/fs/cgroup; for file in ${files.join(" ")}; do cat $file; done; echo; cat io.max`;
  const { stdout } = await exec(stack.client, ["sh", "-c", script], {
    sandboxId,
    containerId,
    deadline: inSeconds(60),
  });
  const [values = "", io = ""] = stdout.split("\n\n");
  const rates = new Set(
    io
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => line.replace(/^\S+ (rbps=\S+) wbps=max riops=max (wiops=\S+)$/, "$1 $2")),
  );
  const texts = values.trim().split("\n");
  return {
    ...Object.fromEntries(files.map((file, index) => [file, texts[index] ?? ""])),
    "io.max": [...rates].join(" | ") || "rbps=max wiops=max",
  };
}

async function statusOf(stack: Stack, sandboxId: string): Promise<SandboxStatus> {
  const { sandbox } = await stack.client.sandboxes.getSandbox({ sandboxId }, { deadline: inSeconds(30) });
  if (!sandbox?.status) throw new Error(`${sandboxId} has no status`);
  return sandbox.status;
}

/** In the kernel, all CPUs are a list. The status has no list for them. */
const allHostCpus = (): string => readFileSync("/sys/devices/system/cpu/online", "utf8").trim();

const hostLimitsOf = ({ limits }: SandboxStatus) => ({
  cpuQuotaUs: Number(limits?.cpuQuotaUs),
  cpuPeriodUs: Number(limits?.cpuPeriodUs),
  cpuShares: Number(limits?.cpuShares),
  cpusetCpus: limits?.cpusetCpus,
  memoryBytes: Number(limits?.memoryBytes),
});

async function remove(stack: Stack, sandboxId: string): Promise<void> {
  const cgroup = new HostCgroup(stack.stateDirectory, sandboxId);
  await stack.client.sandboxes.deleteSandbox(
    { requestId: randomUUID(), sandboxId, force: true },
    { deadline: inSeconds(60) },
  );
  same(sandboxId, "whether a cgroup is left", cgroup.exists, false);
}

function same(sandboxId: string, what: string, actual: unknown, expected: unknown): void {
  assert.deepEqual(actual, expected, `${sandboxId}: ${what} is ${show(actual)} instead of ${show(expected)}`);
}

/** The fields that are set, without those of the message type. */
function plain(resources: ContainerLimits | ContainerStatus["resources"]): Record<string, unknown> {
  const { io, ...flat } = resources ?? {};
  const set = (object: object) =>
    Object.fromEntries(
      Object.entries(object).filter(
        ([key, value]) => !key.startsWith("$") && value !== undefined && !Array.isArray(value),
      ),
    );
  return { ...set(flat), ...(io && { io: set(io) }) };
}

/** Without undefined fields, which the API's message does not accept. */
const initOf = ({ io, hugepages: _, ...flat }: ContainerLimits) => ({
  ...flat,
  ...(io && { io: { ...io } }),
});

const show = (value: unknown): string =>
  JSON.stringify(value, (_, each: unknown) => (typeof each === "bigint" ? String(each) : each)) ?? "nothing";

const reasonOf = (error: unknown): unknown => (error as { reason?: unknown }).reason;

/** Runs `each` for all items, a few at a time. Throws the first failure when those in progress are done. */
async function inParallel<T>(
  items: readonly T[],
  each: (item: T, index: number) => Promise<void>,
): Promise<void> {
  const queue = [...items.entries()];
  const worker = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) await each(next[1], next[0]);
  };
  const results = await Promise.allSettled(Array.from({ length: AT_ONCE }, worker));
  for (const result of results) if (result.status === "rejected") throw result.reason;
}
