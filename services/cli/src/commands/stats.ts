import { setTimeout as sleep } from "node:timers/promises";
import { toJson } from "@bufbuild/protobuf";
import { ENDED_KINDS, readStats, type StatsReading } from "@paddock/client";
import type { ErrorKind } from "@paddock/domain";
import { SandboxState, SandboxStatsSchema } from "@paddock/protocol";
import { findSandbox, listSandboxes } from "../client/targets.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import type { CommandRun } from "../command-run.ts";
import { STATS_HEADING, statsRows, vmCpuPercent } from "../output/stats-table.ts";
import { parseInterval, tableOutput } from "../table-output.ts";

type StatsOptions = { readonly stream?: boolean; readonly interval: string };
type Readings = ReadonlyMap<string, StatsReading>;

/** Time between the two readings that a CPU share needs. */
const FIRST_INTERVAL_MS = 500;
const NONE: ReadonlySet<ErrorKind> = new Set<ErrorKind>();
/** A sandbox that was not named may also be unreachable. */
const ENDED_OR_AWAY: ReadonlySet<ErrorKind> = new Set<ErrorKind>([...ENDED_KINDS, "unavailable"]);

export const statsCommand: CommandDefinition = (bind) => {
  const command = describedCommand(
    "stats",
    "show the resource usage of VMs and their containers: a live table on a terminal, otherwise lines",
    [
      "stats",
      "stats web db --interval 5s",
      "stats --no-stream",
      "stats -o json | jq .host.memory.usageBytes",
    ],
  )
    .argument("[sandbox...]", "only these; stats ends when they end")
    .option("--no-stream", "one reading")
    .option("--interval <span>", "time between readings, from 100ms", "1s");
  return bind(command, async (run, { args }) => {
    const options = command.opts<StatsOptions>();
    const intervalMs = parseInterval(options.interval);
    const named = await Promise.all(args.map(async (text) => (await findSandbox(run, text)).sandboxId));
    const isStream = options.stream !== false;
    using table = tableOutput(run, STATS_HEADING, { isLive: isStream });
    let before = await readAll(run, named, NONE);
    await sleep(Math.min(FIRST_INTERVAL_MS, intervalMs), undefined, { signal: run.signal });
    for (;;) {
      const now = await readAll(run, named, ENDED_KINDS);
      if (named.length > 0 && now.size === 0) return;
      if (run.isJson) await run.write(linesOf(before, now));
      else await table.show([...now.values()].flatMap((each) => statsRows(before.get(each.sandboxId), each)));
      if (!isStream) return;
      before = now;
      await sleep(intervalMs, undefined, { signal: run.signal });
    }
  });
};

async function readAll(
  run: CommandRun,
  named: readonly string[],
  ignored: ReadonlySet<ErrorKind>,
): Promise<Readings> {
  const ids = named.length > 0 ? named : await idsWithVm(run);
  const kinds = named.length > 0 ? ignored : ENDED_OR_AWAY;
  const readings = await Promise.all(
    ids.map((sandboxId) =>
      run.callUnless(kinds, { what: `read the figures of sandbox "${sandboxId}"` }, (api, call) =>
        readStats(api, sandboxId, call),
      ),
    ),
  );
  return new Map(
    readings.filter((reading) => reading !== undefined).map((reading) => [reading.sandboxId, reading]),
  );
}

async function idsWithVm(run: CommandRun): Promise<string[]> {
  const withVm = [SandboxState.READY, SandboxState.RUNNING, SandboxState.PAUSED];
  const all = await listSandboxes(run);
  return all.filter(({ status }) => status && withVm.includes(status.state)).map((each) => each.sandboxId);
}

/** One JSON object per line for each sandbox: its id, its stats, and the CPU used between two readings. */
const linesOf = (before: Readings, now: Readings): string =>
  [...now.values()]
    .map((reading) => {
      const stats = toJson(SandboxStatsSchema, reading.stats, { alwaysEmitImplicit: true });
      const figures = typeof stats === "object" && stats !== null && !Array.isArray(stats) ? stats : {};
      const used = vmCpuPercent(before.get(reading.sandboxId), reading) ?? 0;
      return `${JSON.stringify({ sandboxId: reading.sandboxId, ...figures, cpuPercent: used })}\n`;
    })
    .join("");
