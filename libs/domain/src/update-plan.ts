/**
 * The effect of an update of a container's limits: the resulting limits, and what changes, by field path.
 *
 * An unset field keeps its value; huge pages merge by page size, disk rates one by one. So an update keeps what an earlier one set.
 * The values are those of the API: -1, or an empty CPU list, lifts a limit.
 */
import { parseCpuList } from "./cpu-list.ts";
import { invalidField } from "./errors.ts";

type Value = bigint | string | boolean;

/** Rates of each disk; -1 means no limit. */
export type IoRates = {
  readonly readBytesPerSecond?: bigint | undefined;
  readonly writeBytesPerSecond?: bigint | undefined;
  readonly readOperationsPerSecond?: bigint | undefined;
  readonly writeOperationsPerSecond?: bigint | undefined;
};

/** Limits of a container, in its spec or in an update. -1 means no limit, undefined means not set. */
export type ContainerLimits = {
  readonly cpuQuotaUs?: bigint | undefined;
  readonly cpuPeriodUs?: bigint | undefined;
  readonly cpuShares?: bigint | undefined;
  readonly cpusetCpus?: string | undefined;
  readonly memoryBytes?: bigint | undefined;
  readonly swapBytes?: bigint | undefined;
  readonly pids?: bigint | undefined;
  readonly hugepages?: readonly HugepageLimit[];
  readonly io?: IoRates | undefined;
  readonly oomKillAll?: boolean | undefined;
};

/** -1 means no limit. */
export type HugepageLimit = { readonly pageBytes: bigint; readonly limitBytes: bigint };

/** A limit that an update names. */
export type AskedLimit = {
  /** As in the API: "cpu_quota_us", "io.read_bytes_per_second", "hugepages.2097152". */
  readonly path: string;
  readonly requested: Value;
  /** The value before the update; undefined when it was never set. */
  readonly former: Value | undefined;
  readonly changed: boolean;
};

export type UpdatePlan = {
  /** All limits after the update. */
  readonly limits: ContainerLimits;
  /** Every limit that the update names, changed or not, in the order of the API. */
  readonly asked: readonly AskedLimit[];
};

type FlatLimits = Omit<ContainerLimits, "hugepages" | "io">;

const FIELDS: Readonly<Record<keyof FlatLimits, string>> = {
  cpuQuotaUs: "cpu_quota_us",
  cpuPeriodUs: "cpu_period_us",
  cpuShares: "cpu_shares",
  cpusetCpus: "cpuset_cpus",
  memoryBytes: "memory_bytes",
  swapBytes: "swap_bytes",
  pids: "pids",
  oomKillAll: "oom_kill_all",
};

const IO_FIELDS: Readonly<Record<keyof IoRates, string>> = {
  readBytesPerSecond: "io.read_bytes_per_second",
  writeBytesPerSecond: "io.write_bytes_per_second",
  readOperationsPerSecond: "io.read_operations_per_second",
  writeOperationsPerSecond: "io.write_operations_per_second",
};

/**
 * Merges `update` into `former`. `hostCpus` is the host's CPU list; undefined means unknown. Throws INVALID_FIELD for a CPU list
 * that is malformed or names a CPU the host lacks, and for a duplicate page size.
 */
export function planUpdate(former: ContainerLimits, update: ContainerLimits, hostCpus?: string): UpdatePlan {
  requireCpus(update.cpusetCpus, hostCpus);
  const asked: AskedLimit[] = [];
  const flat = merge<FlatLimits>(FIELDS, former, update, asked);
  const hugepages = mergeHugepages(former.hugepages ?? [], update.hugepages ?? [], asked);
  const io = merge<IoRates>(IO_FIELDS, former.io ?? {}, update.io ?? {}, asked);
  const limits = { ...flat, ...(hugepages.length > 0 && { hugepages }), ...(hasValues(io) && { io }) };
  return { limits, asked };
}

/** Merges the fields in `paths`; values in `update` win. Adds each limit that `update` names to `asked`. */
function merge<Limits extends object>(
  paths: Readonly<Record<keyof Limits, string>>,
  former: Limits,
  update: Limits,
  asked: AskedLimit[],
): Limits {
  const merged: Partial<Limits> = {};
  for (const key of Object.keys(paths) as (keyof Limits)[]) {
    const before = former[key] as Value | undefined;
    const requested = update[key] as Value | undefined;
    if ((requested ?? before) !== undefined)
      merged[key] = requested === undefined ? former[key] : update[key];
    if (requested !== undefined)
      asked.push({ path: paths[key], requested, former: before, changed: requested !== before });
  }
  return merged as Limits;
}

function mergeHugepages(
  former: readonly HugepageLimit[],
  update: readonly HugepageLimit[],
  asked: AskedLimit[],
): readonly HugepageLimit[] {
  const limits = new Map(former.map(({ pageBytes, limitBytes }) => [pageBytes, limitBytes]));
  const named = new Set<bigint>();
  for (const { pageBytes, limitBytes } of update) {
    if (named.has(pageBytes))
      throw invalidField("resources.hugepages", `names the page size ${pageBytes} twice`);
    named.add(pageBytes);
    const before = limits.get(pageBytes);
    limits.set(pageBytes, limitBytes);
    asked.push({
      path: `hugepages.${pageBytes}`,
      requested: limitBytes,
      former: before,
      changed: limitBytes !== before,
    });
  }
  return [...limits].map(([pageBytes, limitBytes]) => ({ pageBytes, limitBytes }));
}

function requireCpus(cpuset: string | undefined, hostCpus: string | undefined): void {
  if (!cpuset) return;
  const field = "resources.cpuset_cpus";
  const cpus = parseCpuList(cpuset, field);
  if (hostCpus === undefined) return;
  const present = new Set(parseCpuList(hostCpus));
  const missing = cpus.find((cpu) => !present.has(cpu));
  if (missing !== undefined) throw invalidField(field, `names CPU ${missing}, the host has ${hostCpus}`);
}

const hasValues = (record: object): boolean => Object.keys(record).length > 0;
