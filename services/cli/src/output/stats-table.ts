/** Formats stats of sandboxes as rows: one for the VM, measured by the host, then one per container, measured by the guest. */
import { cpuPercent, type StatsReading, throttledPercent } from "@paddock/client";
import type { ContainerStats, HostStats, MemoryStats, PidsStats } from "@paddock/protocol";
import { printable } from "./printable.ts";
import { formatBytes } from "./quantities.ts";

export const STATS_HEADING = [
  "SANDBOX",
  "CONTAINER",
  "CPU %",
  "MEM USAGE / LIMIT",
  "MEM %",
  "PIDS",
  "IO R / W",
  "NET RX / TX",
  "THROTTLED",
  "VM OVERHEAD",
];

/** Used in the column of container ids. No id has brackets. */
const VM = "[vm]";

/** CPU shares count from the reading `before`; "-" without one. */
export function statsRows(before: StatsReading | undefined, now: StatsReading): string[][] {
  const { host, containers } = now.stats;
  const rows = containers.map((container) => containerRow(before, now, container));
  return [...(host === undefined ? [] : [vmRow(before, now, host)]), ...rows].map((row) =>
    row.map(printable),
  );
}

/** CPU that the VM used between two readings, in percent of one CPU; undefined if unknown. */
export const vmCpuPercent = (before: StatsReading | undefined, now: StatsReading): number | undefined =>
  now.stats.host && cpuPercent(before?.stats.host, now.stats.host, elapsedMs(before, now));

function vmRow(before: StatsReading | undefined, now: StatsReading, host: HostStats): string[] {
  return [
    now.sandboxId,
    VM,
    percent(vmCpuPercent(before, now)),
    ...memory(host.memory),
    pidsText(host.pids),
    "-",
    "-",
    percent(throttledPercent(before?.stats.host?.cpu, host.cpu), " %"),
    `${formatBytes(host.memoryOverheadBytes)} / ${host.declaredOverheadBytes === 0n ? "-" : formatBytes(host.declaredOverheadBytes)}`,
  ];
}

function containerRow(
  before: StatsReading | undefined,
  now: StatsReading,
  container: ContainerStats,
): string[] {
  const { containerId, cpu, memory: figures, pids, io, network } = container;
  const earlier = before?.stats.containers.find((each) => each.containerId === containerId);
  return [
    now.sandboxId,
    containerId,
    percent(cpuPercent(earlier, container, elapsedMs(before, now))),
    ...memory(figures),
    pidsText(pids),
    inAndOut(io.map(({ readBytes, writeBytes }) => [readBytes, writeBytes])),
    inAndOut(network.map(({ rxBytes, txBytes }) => [rxBytes, txBytes])),
    percent(throttledPercent(earlier?.cpu, cpu), " %"),
    "-",
  ];
}

/** Sums over all devices; "-" without any. */
function inAndOut(devices: readonly (readonly [bigint, bigint])[]): string {
  const sum = (values: readonly bigint[]) => formatBytes(values.reduce((total, value) => total + value, 0n));
  if (devices.length === 0) return "-";
  return `${sum(devices.map(([into]) => into))} / ${sum(devices.map(([, out]) => out))}`;
}

const elapsedMs = (before: StatsReading | undefined, now: StatsReading): number =>
  now.atMs - (before?.atMs ?? now.atMs);

function memory(figures: MemoryStats | undefined): [string, string] {
  if (figures === undefined) return ["-", "-"];
  const { usageBytes: usage, limitBytes: limit = -1n } = figures;
  return limit < 0n
    ? [`${formatBytes(usage)} / none`, "-"]
    : [`${formatBytes(usage)} / ${formatBytes(limit)}`, percent((Number(usage) / Number(limit)) * 100)];
}

const pidsText = (pids: PidsStats | undefined): string => (pids === undefined ? "-" : String(pids.current));

const percent = (value: number | undefined, unit = ""): string =>
  value === undefined ? "-" : `${value.toFixed(1)}${unit}`;
