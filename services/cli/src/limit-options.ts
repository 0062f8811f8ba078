/** Options for the limits of a container: the same for `run`, `create` and `update`. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ContainerResources, ContainerResourcesSchema } from "@paddock/protocol";
import type { Command } from "commander";
import { usageError } from "./cli-error.ts";
import { collect } from "./command-definition.ts";
import { parseBytes } from "./output/quantities.ts";

type Resources = Exclude<MessageInitShape<typeof ContainerResourcesSchema>, ContainerResources>;

export type LimitOptions = {
  readonly cpus?: string;
  readonly cpuShares?: string;
  readonly cpusetCpus?: string;
  readonly memory?: string;
  readonly memorySwap?: string;
  readonly pidsLimit?: string;
  readonly hugepages?: readonly string[];
  readonly ioReadBps?: string;
  readonly ioWriteBps?: string;
  readonly ioReadIops?: string;
  readonly ioWriteIops?: string;
  readonly oomKillAll?: boolean;
};

/** The period of the quota that --cpus stands for, in microseconds. */
const CPU_PERIOD_US = 100_000;
const MIN_QUOTA_US = 1000;
const MIN_MEMORY_BYTES = 4 * 1024 * 1024;
const MIN_BYTES_PER_SECOND = 4096;
const MAX_OPERATIONS_PER_SECOND = 4_294_967_295;
const HUGE_PAGE_BYTES = [2 * 1024 ** 2, 1024 ** 3];

export const addLimitOptions = (command: Command): Command =>
  command
    .option(
      "--cpus <number>",
      'CPUs it may use: from 0.01, such as "0.5" or "2"; "none" for all of the VM (the default)',
    )
    .option("--cpu-shares <number>", "weight when CPUs are contended: 2 to 262144 (default 1024)")
    .option("--cpuset-cpus <list>", 'CPUs of the host it may use, such as "0-3,8"; "all" is the default')
    .option(
      "-m, --memory <size>",
      'memory it may use: from 4m, such as "512m" (powers of 1024); "none" is the default',
    )
    .option(
      "--memory-swap <size>",
      'memory and swap together, such as "1g"; the same as --memory for no swap, "none" for any swap',
    )
    .option("--pids-limit <number>", 'processes and threads it may have, from 1; "none" is the default')
    .option(
      "--hugepages <PAGE=SIZE>",
      'huge pages of 2MiB or 1GiB it may use, such as "2MiB=64m"; may be repeated',
      collect,
    )
    .option("--io-read-bps <size>", 'bytes a second it may read of a disk: from 4k; "none" is the default')
    .option("--io-write-bps <size>", 'bytes a second it may write to a disk: from 4k; "none" is the default')
    .option("--io-read-iops <number>", 'reads a second of a disk, from 1; "none" is the default')
    .option("--io-write-iops <number>", 'writes a second to a disk, from 1; "none" is the default')
    .option("--oom-kill-all", "kill all its processes when its memory runs out")
    .option("--no-oom-kill-all", "kill only the biggest (the default)");

/** The requested limits, without swap, which depends on the memory: see `withSwap`. */
export function parseLimits(options: LimitOptions): Resources {
  const io = ioLimits(options);
  return {
    ...given(options.cpus, cpuTime),
    ...given(options.cpuShares, (text) => ({
      cpuShares: BigInt(wholeNumber("--cpu-shares", text, 2, 262_144)),
    })),
    ...given(options.cpusetCpus, (text) => ({ cpusetCpus: cpuList(text) })),
    ...given(options.memory, (text) => ({ memoryBytes: memoryBytes(text) })),
    ...given(options.pidsLimit, (text) => ({
      pids: isNone(text) ? -1n : BigInt(wholeNumber("--pids-limit", text, 1, Number.MAX_SAFE_INTEGER)),
    })),
    ...(options.hugepages === undefined ? {} : { hugepages: options.hugepages.map(hugepageLimit) }),
    ...(Object.keys(io).length === 0 ? {} : { io }),
    ...(options.oomKillAll === undefined ? {} : { oomKillAll: options.oomKillAll }),
  };
}

/**
 * `limits` with the swap of `total` (--memory-swap): the part above the memory limit, which is the new one or else
 * `memoryBefore`.
 */
export function withSwap(
  limits: Resources,
  total: string | undefined,
  memoryBefore: bigint | undefined,
): Resources {
  if (total === undefined) return limits;
  if (isNone(total)) return { ...limits, swapBytes: -1n };
  const memory = limits.memoryBytes ?? memoryBefore;
  if (memory === undefined || memory < 0n) {
    throw usageError("--memory-swap is memory and swap together, and there is no --memory", "give both");
  }
  const swapBytes = BigInt(parseBytes(total)) - memory;
  if (swapBytes < 0n)
    throw usageError(
      `--memory-swap ${total} is less than the memory alone`,
      "it is memory and swap together",
    );
  return { ...limits, swapBytes };
}

const given = <T extends object>(
  text: string | undefined,
  parse: (text: string) => T,
): T | Record<never, never> => (text === undefined ? {} : parse(text));

const isNone = (text: string): boolean => text === "none" || text === "-1";

function cpuTime(text: string): Resources {
  if (isNone(text)) return { cpuQuotaUs: -1n, cpuPeriodUs: BigInt(CPU_PERIOD_US) };
  const quota = Math.round(Number(text) * CPU_PERIOD_US);
  if (!/^\d*\.?\d+$/.test(text) || quota < MIN_QUOTA_US) {
    throw usageError(`"${text}" is not a number of CPUs`, 'write such as "0.5" or "2", at least "0.01"');
  }
  return { cpuQuotaUs: BigInt(quota), cpuPeriodUs: BigInt(CPU_PERIOD_US) };
}

function cpuList(text: string): string {
  if (text === "all" || text === "") return "";
  if (!/^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(text))
    throw usageError(`"${text}" is not a list of CPUs`, 'write such as "0-3,8", or "all"');
  return text;
}

function memoryBytes(text: string): bigint {
  if (isNone(text)) return -1n;
  const bytes = parseBytes(text);
  if (bytes < MIN_MEMORY_BYTES)
    throw usageError(`--memory ${text} is too little for a container`, 'at least "4m"');
  return BigInt(bytes);
}

function hugepageLimit(text: string): { pageBytes: bigint; limitBytes: bigint } {
  const [page = "", limit = "", ...rest] = text.split("=");
  const pageBytes = limit === "" || rest.length > 0 ? 0 : parseBytes(page);
  if (!HUGE_PAGE_BYTES.includes(pageBytes)) {
    throw usageError(
      `"${text}" is not a limit of huge pages`,
      'write such as "2MiB=64m" or "1GiB=none": pages are of 2 MiB or 1 GiB',
    );
  }
  return { pageBytes: BigInt(pageBytes), limitBytes: isNone(limit) ? -1n : BigInt(parseBytes(limit)) };
}

function ioLimits(options: LimitOptions): NonNullable<Resources["io"]> {
  return {
    ...given(options.ioReadBps, (text) => ({ readBytesPerSecond: bytesPerSecond("--io-read-bps", text) })),
    ...given(options.ioWriteBps, (text) => ({ writeBytesPerSecond: bytesPerSecond("--io-write-bps", text) })),
    ...given(options.ioReadIops, (text) => ({ readOperationsPerSecond: operations("--io-read-iops", text) })),
    ...given(options.ioWriteIops, (text) => ({
      writeOperationsPerSecond: operations("--io-write-iops", text),
    })),
  };
}

function bytesPerSecond(option: string, text: string): bigint {
  if (isNone(text)) return -1n;
  const bytes = parseBytes(text);
  if (bytes < MIN_BYTES_PER_SECOND) throw usageError(`${option} ${text} is too little`, 'at least "4k"');
  return BigInt(bytes);
}

const operations = (option: string, text: string): bigint =>
  isNone(text) ? -1n : BigInt(wholeNumber(option, text, 1, MAX_OPERATIONS_PER_SECOND));

/** A whole number from `min` to `max`. */
export function wholeNumber(option: string, text: string, min: number, max: number): number {
  const number = Number(text);
  if (!/^\d+$/.test(text) || number < min || number > max) {
    const range = max === Number.MAX_SAFE_INTEGER ? `from ${min}` : `from ${min} to ${max}`;
    throw usageError(`${option}: "${text}" is not a valid number`, `a whole number ${range}`);
  }
  return number;
}
