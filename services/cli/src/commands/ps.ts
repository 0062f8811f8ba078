import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Sandbox, SandboxSchema, SandboxState } from "@paddock/protocol";
import { usageError } from "../cli-error.ts";
import { listSandboxes } from "../client/targets.ts";
import { type CommandDefinition, collect, describedCommand } from "../command-definition.ts";
import { columns } from "../output/columns.ts";
import { toJsonArray } from "../output/json.ts";
import { limitsText, vmSizeText, waitingText } from "../output/limits-text.ts";
import { printable } from "../output/printable.ts";
import { formatAge } from "../output/quantities.ts";
import { containerStatusText, isolationText, sandboxStateText } from "../output/status-text.ts";
import { parseFilter, rowsOf, type SandboxRow } from "../sandbox-filter.ts";

type PsOptions = {
  readonly all?: boolean;
  readonly limits?: boolean;
  readonly filter?: readonly string[];
  readonly last?: string;
  readonly latest?: boolean;
  readonly trunc?: boolean;
};

const HEADING = ["SANDBOX", "CONTAINER", "IMAGE", "CREATED", "STATUS", "RESTARTS", "VM", "NODE", "ISOLATION"];
const LIMITS_HEADING = [...HEADING, "LIMITS", "VM SIZE"];

export const psCommand: CommandDefinition = (bind) => {
  const command = describedCommand("ps", "list sandboxes and their containers", [
    "ps",
    "ps -a",
    "ps --limits",
    "ps -a -q --filter status=exited",
    "ps --filter image=python:3.11 --filter label=team=web",
    "ps -o json",
  ])
    .alias("ls")
    .option("-a, --all", "stopped ones, too")
    .option(
      "-f, --filter <KEY=VALUE>",
      "filter by status, name, id, image, label, node or exited (a code); may be repeated",
      collect,
    )
    .option("-n, --last <number>", "only the last ones created, including stopped ones")
    .option("-l, --latest", "only the last one created")
    .option("--no-trunc", "full ids of images")
    .option("--limits", "show limits of containers, and sizes and maxima of VMs");
  return bind(command, async (run) => {
    const options = command.opts<PsOptions>();
    const wanted = selectionOf(options);
    const shown = wanted(await listSandboxes(run));
    const sandboxes = [...new Set(shown.map(({ sandbox }) => sandbox))];
    if (run.isJson) return run.print(toJsonArray(SandboxSchema, sandboxes));
    if (run.settings.quiet) return run.print(sandboxes.map(({ sandboxId }) => `${sandboxId}\n`).join(""));
    const rows = shown.map((row) => rowOf(row, Date.now(), options.trunc !== false));
    const width = options.limits ? LIMITS_HEADING.length : HEADING.length;
    run.print(columns([LIMITS_HEADING, ...rows].map((row) => row.slice(0, width))));
  });
};

function selectionOf({ all, filter, last, latest }: PsOptions): (all: readonly Sandbox[]) => SandboxRow[] {
  const { isMet, hasStatus } = parseFilter(filter ?? []);
  if (last !== undefined && !/^\d{1,6}$/.test(last))
    throw usageError(`"${last}" is not a number of sandboxes`);
  const count = latest ? 1 : last === undefined ? undefined : Number(last);
  const withStopped = all === true || hasStatus || count !== undefined;
  return (sandboxes) => {
    const states = sandboxes.filter((s) => withStopped || s.status?.state !== SandboxState.STOPPED);
    const ids = new Set(sandboxes.map(({ sandboxId }) => sandboxId));
    const met = states.map((sandbox) => ({
      sandbox,
      rows: rowsOf(sandbox).filter((row) => isMet(row, ids)),
    }));
    const found = met.filter(({ rows }) => rows.length > 0);
    return (count === undefined ? found : newest(found, count)).flatMap(({ rows }) => rows);
  };
}

function newest<T extends { readonly sandbox: Sandbox }>(found: readonly T[], count: number): T[] {
  const bornMs = ({ sandbox }: T) => (sandbox.status?.createdAt ? timestampMs(sandbox.status.createdAt) : 0);
  return [...found].sort((a, b) => bornMs(b) - bornMs(a)).slice(0, count);
}

/** The cells of all columns, those of --limits last. */
function rowOf({ sandbox, container }: SandboxRow, nowMs: number, isShort: boolean): string[] {
  const { sandboxId, nodeId, status } = sandbox;
  const state = sandboxStateText(status?.state ?? SandboxState.UNSPECIFIED);
  const waiting = status && waitingText(status);
  const created = status?.createdAt ? `${formatAge(nowMs - timestampMs(status.createdAt))} ago` : "-";
  const health = status?.health?.healthy === false ? " (unhealthy)" : "";
  const vm = [`${state}${health}`, ...(waiting === undefined ? [] : [waiting])].join(", ");
  const place = [vm, nodeId || "-", status ? isolationText(status.isolation) : "-"];
  const size = status ? vmSizeText(status) : "-";
  const row = (cells: readonly string[], limits: string) =>
    [sandboxId, ...cells, ...place, limits, size].map(printable);
  if (!container) return row(["-", "-", created, state, "-"], "-");
  return row(
    [
      container.containerId,
      container.image || (isShort ? container.imageId.slice(0, 19) : container.imageId),
      container.createdAt ? `${formatAge(nowMs - timestampMs(container.createdAt))} ago` : created,
      containerStatusText(container, nowMs),
      String(container.restartCount),
    ],
    limitsText(container),
  );
}
