/**
 * The expected state of a sandbox of two containers after updates of their limits. One container uses all CPU time that it gets.
 * The other is idle, and makes the VM grow and shrink. The rules are those of libs/domain, which has its own tests. Here host,
 * guest, record and status are compared with the rules.
 */
import { weightOfShares } from "@paddock/cgroups";
import {
  type ContainerDemand,
  type ContainerLimits,
  GUEST_OVERHEAD_BYTES,
  guestCpuset,
  hostLimits,
  PaddockError,
  unionOfCpuLists,
  type VmSize,
  wantedSize,
} from "@paddock/domain";
import type { Random } from "./seeded-random.ts";

export const CONTAINERS = ["busy", "idle"] as const;
export type ContainerName = (typeof CONTAINERS)[number];
export type Limits = Readonly<Record<ContainerName, ContainerLimits>>;

const PAGE_BYTES = 4096;
const MIB_PAGES = 256;

const START: ContainerLimits = { cpuQuotaUs: 10_000n, cpuPeriodUs: 100_000n, memoryBytes: 32n << 20n };
export const startLimits = (): Limits => ({ busy: START, idle: START });

/** A change of one to three limits of one container. */
export function randomUpdate(random: Random, name: ContainerName, former: ContainerLimits): ContainerLimits {
  let update: ContainerLimits = {};
  for (let left = 1 + random.below(3); left > 0; left--)
    update = { ...update, ...randomLimit(random, name, { ...former, ...update }) };
  return update;
}

function randomLimit(random: Random, name: ContainerName, former: ContainerLimits): ContainerLimits {
  const between = (from: number, to: number) => from + random.below(to - from + 1);
  switch (random.pick(["quota", "period", "shares", "cpuset", "memory", "pids", "io"])) {
    case "quota":
      return { cpuQuotaUs: randomQuota(random, name, former.cpuPeriodUs ?? 100_000n) };
    case "period": {
      const cpuPeriodUs = random.pick([10_000n, 20_000n, 50_000n, 100_000n, 250_000n]);
      return { cpuPeriodUs, cpuQuotaUs: randomQuota(random, name, cpuPeriodUs) };
    }
    case "shares":
      return { cpuShares: BigInt(between(2, 10_000)) };
    case "cpuset":
      return { cpusetCpus: random.pick(["0", "0-1", "1,0", ""]) };
    case "memory": {
      if (name === "idle" && random.below(6) === 0) return { memoryBytes: -1n };
      const pages = name === "busy" ? between(24, 48) : between(16, 300);
      return { memoryBytes: BigInt((pages * MIB_PAGES + random.below(MIB_PAGES)) * PAGE_BYTES) };
    }
    case "pids":
      return { pids: random.below(4) === 0 ? -1n : BigInt(between(16, 4096)) };
    default:
      return {
        io: {
          readBytesPerSecond: random.pick([-1n, BigInt(between(1 << 20, 1 << 26))]),
          writeOperationsPerSecond: random.pick([-1n, BigInt(between(100, 10_000))]),
        },
      };
  }
}

/** The load gets little CPU time, so that a host of two CPUs can run ten. The idle container may ask for more than its VM may have. */
function randomQuota(random: Random, name: ContainerName, periodUs: bigint): bigint {
  if (name === "idle" && random.below(6) === 0) return -1n;
  const cpus = name === "busy" ? 0.1 + random.next() * 0.15 : 0.1 + random.next() * 2;
  return BigInt(Math.max(1000, Math.round(Number(periodUs) * cpus)));
}

/** The limits after `update`. Undefined if it needs more than the VM may have. */
export function afterUpdate(
  limits: Limits,
  name: ContainerName,
  update: ContainerLimits,
  size: VmSize,
): Limits | undefined {
  const { io, ...rest } = update;
  const former = limits[name];
  const merged = { ...former, ...rest, ...(io && { io: { ...former.io, ...io } }) };
  const next = { ...limits, [name]: merged };
  try {
    wanted(next, size);
    return next;
  } catch (error) {
    if (error instanceof PaddockError && error.reason === "NO_CAPACITY") return undefined;
    throw error;
  }
}

export const wanted = (limits: Limits, size: VmSize) =>
  wantedSize(demands(limits), size, GUEST_OVERHEAD_BYTES);

/** The expected limits in the host's kernel, except memory, which follows the guest's memory. */
export function expectedOnHost(limits: Limits, vcpus: number) {
  const { cpu, cpuShares, cpuset } = hostLimits(demands(limits), {
    vcpus,
    memoryBytes: 0,
    overheadBytes: 0,
  });
  return { cpu, cpuShares, cpuset };
}

/** The expected content of a container's control files in the guest, by name. */
export function expectedInGuest(limits: Limits, name: ContainerName, vcpus: number): Record<string, string> {
  const { cpuQuotaUs, cpuPeriodUs, cpuShares, cpusetCpus, memoryBytes, pids, io } = limits[name];
  const union = unionOfCpuLists(CONTAINERS.map((each) => limits[each].cpusetCpus));
  return {
    "cpu.max": `${textOf(cpuQuotaUs)} ${cpuPeriodUs ?? 100_000n}`,
    "cpu.weight": cpuShares === undefined ? "100" : String(weightOfShares(Number(cpuShares))),
    "cpuset.cpus.effective": guestCpuset(cpusetCpus, union, vcpus),
    "memory.max": textOf(memoryBytes),
    "pids.max": textOf(pids),
    "io.max": `rbps=${textOf(io?.readBytesPerSecond)} wiops=${textOf(io?.writeOperationsPerSecond)}`,
  };
}

const textOf = (limit: bigint | undefined) => (limit === undefined || limit < 0n ? "max" : String(limit));

const demands = (limits: Limits): ContainerDemand[] =>
  CONTAINERS.map((name) => {
    const { cpuQuotaUs, cpuPeriodUs, cpuShares, cpusetCpus, memoryBytes } = limits[name];
    return {
      cpuQuotaUs: Number(cpuQuotaUs ?? 0),
      cpuPeriodUs: Number(cpuPeriodUs ?? 0),
      cpuShares: Number(cpuShares ?? 0),
      cpusetCpus,
      memoryBytes: Number(memoryBytes ?? 0),
    };
  });
