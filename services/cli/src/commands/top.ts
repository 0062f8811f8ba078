import { setTimeout as sleep } from "node:timers/promises";
import { toJson } from "@bufbuild/protobuf";
import { ProcessEntrySchema } from "@paddock/protocol";
import { listProcesses } from "../client/list-processes.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import {
  type ContainerProcess,
  PROCESS_HEADING,
  type ProcessReading,
  processRows,
  WATCHED_HEADING,
  watchedRows,
} from "../output/process-table.ts";
import { parseInterval, tableOutput } from "../table-output.ts";

type TopOptions = { readonly watch?: boolean; readonly interval: string };

export const topCommand: CommandDefinition = (bind) => {
  const command = describedCommand("top", "list the processes of a sandbox, or of one of its containers", [
    "top web",
    "top web main",
    "top --watch --interval 5s web",
    "top web/main -o json",
  ])
    .argument("<target>", "SANDBOX for all its containers, or SANDBOX/CONTAINER")
    .argument("[container]", "the same as SANDBOX/CONTAINER")
    .option("-w, --watch", "list repeatedly, the busiest first: in place on a terminal, otherwise as lines")
    .option("--interval <span>", "time between two lists, from 100ms", "2s");
  return bind(command, async (run, { args: [first = "", container] }) => {
    const { watch: isWatched = false, interval } = command.opts<TopOptions>();
    const intervalMs = parseInterval(interval);
    const target = container === undefined ? first : `${first}/${container}`;
    using table = tableOutput(run, isWatched ? WATCHED_HEADING : PROCESS_HEADING, { isLive: isWatched });
    for (let before: ProcessReading | undefined; ; ) {
      const processes = await listProcesses(run, target);
      const now = { atMs: performance.now(), processes };
      if (run.isJson) await run.write(jsonOf(processes, isWatched));
      else if (run.settings.quiet)
        await run.write(processes.map(({ process }) => `${process.pid}\n`).join(""));
      else await table.show(isWatched ? watchedRows(before, now) : processRows(processes));
      if (!isWatched) return;
      before = now;
      await sleep(intervalMs, undefined, { signal: run.signal });
    }
  });
};

/** An array, on one line if more arrays follow. */
function jsonOf(processes: readonly ContainerProcess[], isWatched: boolean): string {
  const list = processes.map(({ containerId, process }) => {
    const json = toJson(ProcessEntrySchema, process, { alwaysEmitImplicit: true });
    return { containerId, ...(typeof json === "object" && json !== null ? json : {}) };
  });
  return `${isWatched ? JSON.stringify(list) : JSON.stringify(list, null, 2)}\n`;
}
