import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Sandbox, SandboxSchema, SandboxState } from "@paddock/protocol";
import { usageError } from "../cli-error.ts";
import { listSandboxes } from "../client/targets.ts";
import { type CommandDefinition, collect, describedCommand } from "../command-definition.ts";
import { columns } from "../output/columns.ts";
import { toJsonArray } from "../output/json.ts";
import { printable } from "../output/printable.ts";
import { filledRows, parseRowTemplate } from "../output/row-template.ts";
import { COLUMNS, FIELDS, LIMITS_COLUMNS } from "../sandbox-columns.ts";
import { parseFilter, rowsOf, type SandboxRow } from "../sandbox-filter.ts";

type PsOptions = {
  readonly all?: boolean;
  readonly limits?: boolean;
  readonly filter?: readonly string[];
  readonly last?: string;
  readonly latest?: boolean;
  readonly trunc?: boolean;
  readonly format?: string;
};

export const psCommand: CommandDefinition = (bind) => {
  const command = describedCommand("ps", "list sandboxes and their containers", [
    "ps",
    "ps -a",
    "ps --limits",
    "ps -a -q --filter status=exited",
    "ps --filter image=python:3.11 --filter label=team=web",
    "ps --format '{{.Names}} {{.Ports}}'",
    "ps -o json",
  ])
    .alias("ls")
    .option("-a, --all", "stopped ones, too")
    .option(
      "-f, --filter <KEY=VALUE>",
      "filter by status, name, id, image, label, node, volume (or a mount's place) or exited (a code); may be repeated",
      collect,
    )
    .option("-n, --last <number>", "only the last ones created, including stopped ones")
    .option("-l, --latest", "only the last one created")
    .option("--no-trunc", "full ids of images")
    .option("--limits", "show limits of containers, and sizes and maxima of VMs")
    .option(
      "--format <template>",
      `rows as docker's, such as "table {{.Names}}\\t{{.Status}}"; fields: ${[...FIELDS.keys()].join(", ")}`,
    );
  return bind(command, async (run) => {
    const options = command.opts<PsOptions>();
    const wanted = selectionOf(options);
    const template = options.format === undefined ? undefined : parseRowTemplate(options.format, FIELDS);
    if (template !== undefined && run.isJson)
      throw usageError("--format and -o json exclude each other", "give one of them");
    const shown = wanted(await listSandboxes(run));
    const sandboxes = [...new Set(shown.map(({ sandbox }) => sandbox))];
    if (run.isJson) return run.print(toJsonArray(SandboxSchema, sandboxes));
    if (run.settings.quiet) return run.print(sandboxes.map(({ sandboxId }) => `${sandboxId}\n`).join(""));
    const view = { nowMs: Date.now(), isShort: options.trunc !== false };
    if (template !== undefined)
      return run.print(filledRows(template, shown, (row, field) => FIELDS.get(field)?.(row, view) ?? ""));
    const shownColumns = options.limits ? LIMITS_COLUMNS : COLUMNS;
    const rows = shown.map((row) => shownColumns.map(([, cell]) => printable(cell(row, view))));
    run.print(columns([shownColumns.map(([heading]) => heading), ...rows]));
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
