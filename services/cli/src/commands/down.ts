import { resolve } from "node:path";
import type { Command } from "commander";
import { CliError } from "../cli-error.ts";
import { listSandboxes } from "../client/targets.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import type { CommandRun } from "../command-run.ts";
import { deleteSandbox } from "../container-lifecycle.ts";
import { type FleetRecord, readFleetRecord } from "../local-fleet/fleet-record.ts";
import { isFleetUp, stopFleet } from "../local-fleet/stop-fleet.ts";
import { stateDirOf } from "../settings.ts";

type DownOptions = { readonly keep?: boolean; readonly stateDir?: string };

const AT_ONCE = 4;

export const downCommand: CommandDefinition = (bind) => {
  const command = describedCommand(
    "down",
    'stop what "paddock up" started, and delete all sandboxes of this host',
    ["down", "down --keep"],
  )
    .option("--keep", "keep the VMs running, for the next up to take over")
    .option("--state-dir <dir>", "state directory (PADDOCK_STATE_DIR; /var/lib/paddock)");
  return bind(command, downBody);
};

async function downBody(run: CommandRun, command: Command): Promise<void> {
  const options = command.opts<DownOptions>();
  const stateDir = resolve(options.stateDir ?? stateDirOf(run.around.env));
  const record = readFleetRecord(stateDir);
  if (!record || !isFleetUp(record)) {
    run.progress.note(`nothing is running (state in ${stateDir})`);
    if (record) await stopFleet(stateDir, record);
    return printStopped(run, stateDir, []);
  }
  const deleted = options.keep ? [] : await deleteSandboxes(run, record);
  await run.progress.phase(
    "stopping the node daemon, the api and the bus",
    () => stopFleet(stateDir, record),
    () => "stopped the node daemon, the api and the bus",
  );
  printStopped(run, stateDir, deleted);
}

function printStopped(run: CommandRun, stateDir: string, deleted: readonly string[]): void {
  if (run.isJson) run.printJson({ stateDir, deletedSandboxes: deleted });
}

async function deleteSandboxes(run: CommandRun, record: FleetRecord): Promise<readonly string[]> {
  run.useAddress(record.apiAddress);
  const sandboxes = await listSandboxes(run, { nodeId: record.nodeId }).catch((error: unknown) => {
    if (!(error instanceof CliError)) throw error;
    const hint = '"paddock down --keep" stops the daemons and keeps the VMs';
    throw new CliError(error.message, { hint, cause: error });
  });
  const ids = sandboxes.map(({ sandboxId }) => sandboxId);
  if (ids.length === 0) return [];
  const noun = ids.length === 1 ? "1 sandbox" : `${ids.length} sandboxes`;
  run.progress.note(`sandboxes of this host: ${ids.join(", ")}`);
  await run.progress.phase(
    `deleting ${noun}`,
    async () => {
      const waiting = [...ids];
      const worker = async () => {
        for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) await deleteSandbox(run, id);
      };
      await Promise.all(Array.from({ length: AT_ONCE }, worker));
    },
    () => `deleted ${noun}`,
  );
  return ids;
}
