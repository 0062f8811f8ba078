/** Formats the outcome of each limit of an update in the units of the command line. */
import {
  type LimitValue,
  ResourceEffect,
  type ResourceOutcome,
  type UpdateContainerResponse,
} from "@paddock/protocol";
import { cpusText, DEFAULT_PERIOD_US } from "./limits-text.ts";
import { printable } from "./printable.ts";
import { formatBytes } from "./quantities.ts";

const EFFECTS: Readonly<Record<ResourceEffect, string>> = {
  [ResourceEffect.UNSPECIFIED]: "-",
  [ResourceEffect.LIVE]: "live",
  [ResourceEffect.NEXT_START]: "next start",
};

type Format = (value: bigint) => string;

const orNone =
  (format: Format): Format =>
  (value) =>
    value < 0n ? "none" : format(value);

const number: Format = (value) => value.toString();
const bytes = orNone(formatBytes);
const bytesPerSecond = orNone((value) => `${formatBytes(value)}/s`);

const FIELDS: Readonly<Record<string, { readonly name: string; readonly format: Format }>> = {
  cpu_period_us: { name: "cpu period", format: (value) => `${value} us` },
  cpu_shares: { name: "cpu shares", format: number },
  cpuset_cpus: { name: "cpuset", format: number },
  memory_bytes: { name: "memory", format: bytes },
  swap_bytes: { name: "swap", format: bytes },
  pids: { name: "pids", format: orNone(number) },
  oom_kill_all: { name: "oom kill all", format: (value) => (value === 0n ? "no" : "yes") },
  "io.read_bytes_per_second": { name: "io read", format: bytesPerSecond },
  "io.write_bytes_per_second": { name: "io write", format: bytesPerSecond },
  "io.read_operations_per_second": { name: "io reads", format: orNone((value) => `${value}/s`) },
  "io.write_operations_per_second": { name: "io writes", format: orNone((value) => `${value}/s`) },
  "vm.vcpus": { name: "vcpus of the VM", format: number },
  "vm.memory_bytes": { name: "memory of the VM", format: bytes },
};

/** One row per outcome. A quota and its period are one row, as a number of CPUs. */
export function outcomeRows({ outcomes, container }: UpdateContainerResponse): string[][] {
  const period = outcomes.find(({ field }) => field === "cpu_period_us");
  const quota = outcomes.find(({ field }) => field === "cpu_quota_us");
  // An unchanged period has no outcome.
  const periodsUs = {
    requested: numberOf(period?.requested) || container?.resources?.cpuPeriodUs || DEFAULT_PERIOD_US,
    inForce: numberOf(period?.inForce) || container?.resourcesInForce?.cpuPeriodUs || DEFAULT_PERIOD_US,
  };
  return outcomes.flatMap((outcome) => {
    if (outcome === period && quota?.effect === period.effect) return [];
    if (outcome === quota)
      return [
        row(quota, "cpus", {
          requested: cpusText(numberOf(quota.requested), periodsUs.requested),
          inForce: cpusText(numberOf(quota.inForce), periodsUs.inForce),
        }),
      ];
    return [rowOf(outcome)];
  });
}

function rowOf(outcome: ResourceOutcome): string[] {
  const { field, requested, inForce } = outcome;
  const { name, format } = FIELDS[field] ?? unnamed(field);
  return row(outcome, name, { requested: valueText(requested, format), inForce: valueText(inForce, format) });
}

const valueText = (limit: LimitValue | undefined, format: Format): string =>
  limit?.value.case === "text" ? limit.value.value || "all" : format(numberOf(limit));

const numberOf = (limit: LimitValue | undefined): bigint =>
  limit?.value.case === "number" ? limit.value.value : 0n;

/** The name of a huge page limit contains the page size. Unknown fields are shown as they are. */
const unnamed = (field: string): { readonly name: string; readonly format: Format } => {
  const page = /^hugepages\D*(\d+)/.exec(field)?.[1];
  return page === undefined
    ? { name: field, format: number }
    : { name: `hugepages of ${formatBytes(BigInt(page))}`, format: bytes };
};

const row = (
  { effect, reason }: ResourceOutcome,
  name: string,
  shown: { readonly requested: string; readonly inForce: string },
): string[] => [name, shown.requested, shown.inForce, EFFECTS[effect] ?? "-", reason || "-"].map(printable);
