/**
 * What a host holds a sandbox to, as it follows from the containers that count: those that are ready, running or paused. One that
 * has stopped is entitled to nothing.
 *
 * CPU time is capped at the sum of quota/period. A container without a quota may use all its VM has, so beside it there is no cap;
 * where none has a quota, the VM's vCPUs are the cap. Shares are the sum, so that a sandbox of two weighs as much as two sandboxes
 * of one. CPUs are the union. Memory is not the sum of the limits, see `hostLimits`.
 */
import { unionOfCpuLists } from "./cpu-list.ts";
import { type ContainerDemand, DEFAULT_PERIOD_US } from "./vm-size.ts";

/** CPU time in each period, in microseconds: what the kernel takes (a quota of 1000 at least, a period of 1000 to 1000000). */
export type CpuCap = { readonly quotaUs: number; readonly periodUs: number };

export type SandboxLimits = {
  /** Of all vCPUs together; undefined means no cap. */
  readonly cpu: CpuCap | undefined;
  /** Relative share of a contended CPU, 2 to 262144. */
  readonly cpuShares: number;
  /** CPUs of the host for the vCPUs, such as "0-3,8"; undefined means all. */
  readonly cpuset: string | undefined;
  /** Of the VM's process, in bytes. */
  readonly memoryBytes: number;
};

/** The VM that the limits are for. */
export type LimitedVm = {
  readonly vcpus: number;
  /** What the guest has, or is about to have when it grows, in bytes. */
  readonly memoryBytes: number;
  /** What the machine itself is declared to need beside its guest, in bytes. */
  readonly overheadBytes: number;
};

const SHARES_MIN = 2;
const SHARES_MAX = 262_144;
const SHARES_DEFAULT = 1024;
const QUOTA_MIN_US = 1000;
const PERIOD_MAX_US = 1_000_000;

/**
 * The limits for these containers in this VM.
 *
 * Memory is the guest's and the overhead, whatever the containers' limits: they are kept in the guest, which ends the one that
 * goes beyond its own. A guest may use all its RAM (its page cache does, sooner or later), and QEMU never gives a page back
 * unasked: a cgroup of less than that is a kill of all containers at a time that none of them chose. The sum of the limits
 * decides how much memory the guest is given instead (`wantedSize`).
 */
export function hostLimits(containers: readonly ContainerDemand[], vm: LimitedVm): SandboxLimits {
  return {
    cpu: cpuCap(containers, vm),
    cpuShares: sumOfShares(containers),
    cpuset: unionOfCpuLists(containers.map(({ cpusetCpus }) => cpusetCpus)),
    memoryBytes: vm.memoryBytes + vm.overheadBytes,
  };
}

function cpuCap(containers: readonly ContainerDemand[], vm: LimitedVm): CpuCap | undefined {
  const limited = containers.filter(({ cpuQuotaUs }) => cpuQuotaUs !== undefined && cpuQuotaUs > 0);
  if (limited.length === 0) return { quotaUs: vm.vcpus * DEFAULT_PERIOD_US, periodUs: DEFAULT_PERIOD_US };
  if (limited.length < containers.length) return undefined;
  return capOf(limited);
}

/**
 * The sum of the ratios as a quota and a period. The period all have in common stays. Otherwise it is 100000, or the nearest
 * period in which the sum is a whole number of microseconds the kernel takes; if there is none, the sum is rounded down.
 */
function capOf(limited: readonly ContainerDemand[]): CpuCap {
  const [first, ...others] = limited.map(({ cpuPeriodUs }) => cpuPeriodUs || DEFAULT_PERIOD_US);
  const sum = limited.reduce<Ratio>(
    (total, { cpuQuotaUs = 0, cpuPeriodUs }) =>
      add(total, { top: BigInt(cpuQuotaUs), bottom: BigInt(cpuPeriodUs || DEFAULT_PERIOD_US) }),
    { top: 0n, bottom: 1n },
  );
  const common = first !== undefined && others.every((period) => period === first);
  const periodUs = common ? first : periodFor(sum);
  return { quotaUs: Number((sum.top * BigInt(periodUs)) / sum.bottom), periodUs };
}

function periodFor(sum: Ratio): number {
  const unit = Number(sum.bottom);
  const leastUs = Math.ceil((QUOTA_MIN_US * unit) / Number(sum.top));
  const least = Math.max(QUOTA_MIN_US, Math.ceil(leastUs / unit) * unit);
  const below = Math.floor(DEFAULT_PERIOD_US / unit) * unit;
  if (below >= least) return below;
  const above = Math.ceil(Math.max(least, DEFAULT_PERIOD_US) / unit) * unit;
  if (above <= PERIOD_MAX_US) return above;
  return leastUs <= DEFAULT_PERIOD_US ? DEFAULT_PERIOD_US : PERIOD_MAX_US;
}

type Ratio = { readonly top: bigint; readonly bottom: bigint };

function add(a: Ratio, b: Ratio): Ratio {
  const top = a.top * b.bottom + b.top * a.bottom;
  const bottom = a.bottom * b.bottom;
  const divisor = greatestCommonDivisor(top, bottom);
  return { top: top / divisor, bottom: bottom / divisor };
}

function greatestCommonDivisor(a: bigint, b: bigint): bigint {
  while (b !== 0n) [a, b] = [b, a % b];
  return a;
}

function sumOfShares(containers: readonly ContainerDemand[]): number {
  if (containers.length === 0) return SHARES_DEFAULT;
  const sum = containers.reduce((total, { cpuShares }) => total + (cpuShares || SHARES_DEFAULT), 0);
  return Math.min(SHARES_MAX, Math.max(SHARES_MIN, sum));
}
