import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Sandbox, SandboxSchema, SandboxState } from "@paddock/protocol";
import { listSandboxes } from "../client/targets.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import { columns } from "../output/columns.ts";
import { toJsonArray } from "../output/json.ts";
import { limitsText, vmSizeText, waitingText } from "../output/limits-text.ts";
import { printable } from "../output/printable.ts";
import { formatAge } from "../output/quantities.ts";
import { containerStatusText, isolationText, sandboxStateText } from "../output/status-text.ts";

type PsOptions = { readonly all?: boolean; readonly limits?: boolean };

const HEADING = ["SANDBOX", "CONTAINER", "IMAGE", "CREATED", "STATUS", "RESTARTS", "VM", "NODE", "ISOLATION"];
const LIMITS_HEADING = [...HEADING, "LIMITS", "VM SIZE"];

export const psCommand: CommandDefinition = (bind) => {
  const command = describedCommand("ps", "list sandboxes and their containers", [
    "ps",
    "ps -a",
    "ps --limits",
    "ps -a -q",
    "ps -o json",
  ])
    .alias("ls")
    .option("-a, --all", "stopped ones, too")
    .option("--limits", "what containers may use, and what their VMs have and may grow to");
  return bind(command, async (run) => {
    const all = await listSandboxes(run);
    const { all: isAll = false, limits: withLimits = false } = command.opts<PsOptions>();
    const shown = all.filter((s) => isAll || s.status?.state !== SandboxState.STOPPED);
    if (run.isJson) return run.print(toJsonArray(SandboxSchema, shown));
    if (run.settings.quiet) return run.print(shown.map(({ sandboxId }) => `${sandboxId}\n`).join(""));
    const rows = shown.flatMap((sandbox) => rowsOf(sandbox, Date.now()));
    if (!withLimits) return run.print(columns([HEADING, ...rows.map(({ cells }) => cells)]));
    run.print(columns([LIMITS_HEADING, ...rows.map(({ cells, limits }) => [...cells, ...limits])]));
  });
};

type Row = { readonly cells: readonly string[]; readonly limits: readonly string[] };

function rowsOf({ sandboxId, nodeId, status }: Sandbox, nowMs: number): Row[] {
  const state = sandboxStateText(status?.state ?? SandboxState.UNSPECIFIED);
  const waiting = status && waitingText(status);
  const created = status?.createdAt ? `${formatAge(nowMs - timestampMs(status.createdAt))} ago` : "-";
  const health = status?.unhealthy ? " (unhealthy)" : "";
  const vm = [`${state}${health}`, ...(waiting === undefined ? [] : [waiting])].join(", ");
  const place = [vm, nodeId || "-", status ? isolationText(status.isolation) : "-"];
  const size = status ? vmSizeText(status) : "-";
  const row = (cells: readonly string[], limits: string): Row => ({
    cells: [sandboxId, ...cells, ...place].map(printable),
    limits: [printable(limits), size],
  });
  const containers = status?.containers ?? [];
  if (containers.length === 0) return [row(["-", "-", created, state, "-"], "-")];
  return containers.map((container) =>
    row(
      [
        container.containerId,
        container.image || container.imageId.slice(0, 19),
        container.createdAt ? `${formatAge(nowMs - timestampMs(container.createdAt))} ago` : created,
        containerStatusText(container, nowMs),
        String(container.restartCount),
      ],
      limitsText(container),
    ),
  );
}
