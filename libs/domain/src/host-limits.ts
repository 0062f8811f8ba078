/**
 * The limits that a host enforces on a sandbox. They follow from its active containers: those that are ready, running or paused. A
 * stopped container does not count.
 *
 * CPU time is capped at the sum of quota/period. A container without a quota may use all vCPUs, so there is no cap when only some
 * containers have a quota. When none has a quota, the number of vCPUs is the cap. Shares are summed, so a sandbox with two
 * containers weighs as much as two sandboxes with one. CPUs are the union. Memory is not the sum of the limits; see `hostLimits`.
 */
import { unionOfCpuLists } from "./cpu-list.ts";
import { type ContainerDemand, DEFAULT_PERIOD_US } from "./vm-size.ts";

/** CPU time per period, in microseconds, in the kernel's range: a quota of at least 1000, a period of 1000 to 1000000. */
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
  /** Memory of the guest, or the memory it is about to grow to, in bytes. */
  readonly memoryBytes: number;
  /** Declared memory overhead of the machine beyond the guest's memory, in bytes. */
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
 * Memory is the guest's memory plus the overhead, independent of the containers' limits. The guest enforces those and kills the
 * container that exceeds its own. A guest may use all its RAM (sooner or later its page cache does), and QEMU never returns a page
 * by itself, so a smaller cgroup limit would kill all containers at an arbitrary time. The sum of the limits decides how much
 * memory the guest gets instead (`wantedSize`).
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
 * The sum of the ratios as a quota and a period. A common period is kept. Otherwise the period is 100000, or the nearest one in
 * which the sum is a whole number of microseconds in the kernel's range. If there is none, the sum is rounded down.
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
