import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Sandbox, SandboxSchema, SandboxState } from "@paddock/protocol";
import { listSandboxes } from "../client/targets.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import { columns } from "../output/columns.ts";
import { toJsonArray } from "../output/json.ts";
import { printable } from "../output/printable.ts";
import { formatAge } from "../output/quantities.ts";
import { containerStatusText, isolationText, sandboxStateText } from "../output/status-text.ts";

type PsOptions = { readonly all?: boolean };

const HEADING = ["SANDBOX", "CONTAINER", "IMAGE", "CREATED", "STATUS", "VM", "NODE", "ISOLATION"];

export const psCommand: CommandDefinition = (bind) => {
  const command = describedCommand("ps", "list sandboxes and their containers", [
    "ps",
    "ps -a",
    "ps -a -q",
    "ps -o json",
  ])
    .alias("ls")
    .option("-a, --all", "stopped ones, too");
  return bind(command, async (run) => {
    const all = await listSandboxes(run);
    const isAll = command.opts<PsOptions>().all === true;
    const shown = all.filter((s) => isAll || s.status?.state !== SandboxState.STOPPED);
    if (run.isJson) return run.print(toJsonArray(SandboxSchema, shown));
    if (run.settings.quiet) return run.print(shown.map(({ sandboxId }) => `${sandboxId}\n`).join(""));
    run.print(columns([HEADING, ...shown.flatMap((sandbox) => rowsOf(sandbox, Date.now()))]));
  });
};

function rowsOf({ sandboxId, nodeId, status }: Sandbox, nowMs: number): string[][] {
  const state = sandboxStateText(status?.state ?? SandboxState.UNSPECIFIED);
  const created = status?.createdAt ? `${formatAge(nowMs - timestampMs(status.createdAt))} ago` : "-";
  const node = [state, nodeId || "-", status ? isolationText(status.isolation) : "-"];
  const containers = status?.containers ?? [];
  if (containers.length === 0) return [[sandboxId, "-", "-", created, state, ...node].map(printable)];
  return containers.map((container) =>
    [
      sandboxId,
      container.containerId,
      container.image || container.imageId.slice(0, 19),
      container.createdAt ? `${formatAge(nowMs - timestampMs(container.createdAt))} ago` : created,
      containerStatusText(container, nowMs),
      ...node,
    ].map(printable),
  );
}
