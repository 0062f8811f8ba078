import { toJson } from "@bufbuild/protobuf";
import { type ContainerStats, GetSandboxStatsResponseSchema, SandboxState } from "@paddock/protocol";
import { sleep } from "../client/retry.ts";
import { cpuPercent, type Reading, readStats } from "../client/stats-reading.ts";
import { findSandbox, listSandboxes } from "../client/targets.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import type { CommandRun } from "../command-run.ts";
import { columns } from "../output/columns.ts";
import { printable } from "../output/printable.ts";
import { formatBytes, parseSpan } from "../output/quantities.ts";
import { isTerminal } from "../process/terminal.ts";

type StatsOptions = { readonly stream?: boolean; readonly interval: string };

const HEADING = [
  "SANDBOX",
  "CONTAINER",
  "CPU %",
  "MEMORY / LIMIT",
  "PIDS",
  "BLOCK IN / OUT",
  "VM CPU %",
  "VM MEMORY",
];
/** Between the two readings that a share of CPU needs. */
const FIRST_INTERVAL_MS = 500;

export const statsCommand: CommandDefinition = (bind) => {
  const command = describedCommand("stats", "show what containers and their VMs use", [
    "stats",
    "stats web",
    "stats --no-stream -o json",
  ])
    .argument("[sandbox...]", "these alone")
    .option("--no-stream", "once")
    .option("--interval <span>", "time between readings", "1s");
  return bind(command, async (run, { args }) => {
    const options = command.opts<StatsOptions>();
    const intervalMs = Math.max(100, parseSpan(options.interval));
    let before = await readAll(run, args);
    await sleep(FIRST_INTERVAL_MS, run.signal);
    for (;;) {
      const now = await readAll(run, args);
      show(run, before, now, options.stream !== false);
      if (options.stream === false) return;
      before = now;
      await sleep(intervalMs, run.signal);
    }
  });
};

async function readAll(run: CommandRun, named: readonly string[]): Promise<Map<string, Reading>> {
  const ids =
    named.length > 0
      ? await Promise.all(named.map(async (text) => (await findSandbox(run, text)).sandboxId))
      : (await listSandboxes(run)).filter((s) => hasVm(s.status?.state)).map((s) => s.sandboxId);
  const readings = await Promise.all(ids.map((sandboxId) => readStats(run, sandboxId, named.length > 0)));
  return new Map(
    readings.filter((reading) => reading !== undefined).map((reading) => [reading.sandboxId, reading]),
  );
}

const hasVm = (state: SandboxState | undefined): boolean =>
  state === SandboxState.READY || state === SandboxState.RUNNING || state === SandboxState.PAUSED;

function show(
  run: CommandRun,
  before: Map<string, Reading>,
  now: Map<string, Reading>,
  isStream: boolean,
): void {
  if (run.isJson) {
    const all = [...now.values()].map(({ sandboxId, stats }) => {
      const json = toJson(GetSandboxStatsResponseSchema, stats);
      return { sandboxId, ...(typeof json === "object" && json !== null ? json : {}) };
    });
    run.print(`${isStream ? JSON.stringify(all) : JSON.stringify(all, null, 2)}\n`);
    return;
  }
  const rows = [...now.values()].flatMap((reading) => rowsOf(before.get(reading.sandboxId), reading));
  const clear = isStream && isTerminal(run.around.stdout) ? "\x1b[H\x1b[J" : "";
  run.print(clear + columns([HEADING, ...rows]));
}

function rowsOf(before: Reading | undefined, now: Reading): string[][] {
  const { host, containers } = now.stats;
  const vm = [
    percent(cpuPercent(before, now, (r) => r.stats.host?.cpuUsageUs)),
    host ? formatBytes(host.memoryUsageBytes) : "-",
  ];
  if (containers.length === 0) return [[now.sandboxId, "-", "-", "-", "-", "-", ...vm].map(printable)];
  return containers.map((container) => {
    const usage = (reading: Reading) =>
      reading.stats.containers.find((c) => c.containerId === container.containerId)?.cpu?.usageUs;
    return [
      now.sandboxId,
      container.containerId,
      percent(cpuPercent(before, now, usage)),
      ...figures(container),
      ...vm,
    ].map(printable);
  });
}

function figures({ memory, pids, io }: ContainerStats): string[] {
  const sum = (key: "readBytes" | "writeBytes") =>
    formatBytes(io.reduce((total, device) => total + device[key], 0n));
  const limit = memory && memory.limitBytes > 0n ? formatBytes(memory.limitBytes) : "none";
  return [
    memory ? `${formatBytes(memory.usageBytes)} / ${limit}` : "-",
    pids ? String(pids.current) : "-",
    `${sum("readBytes")} / ${sum("writeBytes")}`,
  ];
}

const percent = (value: number | undefined): string => (value === undefined ? "-" : value.toFixed(1));
