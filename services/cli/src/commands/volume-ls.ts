import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Volume, VolumeSchema } from "@paddock/protocol";
import { usageError } from "../cli-error.ts";
import { listVolumes } from "../client/volumes.ts";
import { type CommandDefinition, collect, describedCommand } from "../command-definition.ts";
import { columns } from "../output/columns.ts";
import { toJsonArray } from "../output/json.ts";
import { printable } from "../output/printable.ts";
import { formatBytes } from "../output/quantities.ts";
import { filledRows, parseRowTemplate } from "../output/row-template.ts";
import { parseVolumeFilter } from "../volume-filter.ts";

type Cell = (volume: Volume) => string;

const name: Cell = (volume) => volume.name;
const node: Cell = ({ nodeId }) => nodeId;
const size: Cell = ({ sizeBytes }) => formatBytes(sizeBytes);
const used: Cell = ({ usedBytes }) => formatBytes(usedBytes);
const usedBy: Cell = ({ users }) =>
  users.map(({ sandboxId, readOnly }) => `${sandboxId}${readOnly ? " (ro)" : ""}`).join(", ");

const COLUMNS: readonly (readonly [heading: string, cell: Cell])[] = [
  ["NAME", name],
  ["NODE", (volume) => node(volume) || "-"],
  ["SIZE", size],
  ["USED", used],
  ["USED BY", (volume) => usedBy(volume) || "-"],
];

const FIELDS: ReadonlyMap<string, Cell> = new Map([
  ["Name", name],
  ["Node", node],
  ["Size", size],
  ["Used", used],
  ["UsedBy", usedBy],
  ["Links", ({ users }) => String(users.length)],
  [
    "Labels",
    ({ labels }) =>
      Object.entries(labels)
        .map(([key, value]) => `${key}=${value}`)
        .join(","),
  ],
  ["CreatedAt", ({ createdAt }) => (createdAt ? new Date(timestampMs(createdAt)).toISOString() : "-")],
]);

type LsOptions = { readonly filter?: readonly string[]; readonly format?: string };

export const volumeLsCommand: CommandDefinition = (bind) => {
  const command = describedCommand("ls", "list volumes, and the sandboxes that use them", [
    "volume ls",
    "volume ls -q --filter dangling=true",
    "volume ls --format '{{.Name}} {{.UsedBy}}'",
    "volume ls -o json",
  ])
    .option(
      "-f, --filter <KEY=VALUE>",
      "filter by name, label, node or dangling (true or false); may be repeated",
      collect,
    )
    .option(
      "--format <template>",
      `rows as docker's, such as "table {{.Name}}\\t{{.Used}}"; fields: ${[...FIELDS.keys()].join(", ")}`,
    );
  return bind(command, async (run) => {
    const { filter, format } = command.opts<LsOptions>();
    const isMeant = parseVolumeFilter(filter ?? []);
    const template = format === undefined ? undefined : parseRowTemplate(format, FIELDS);
    if (template !== undefined && run.isJson)
      throw usageError("--format and -o json exclude each other", "give one of them");
    const volumes = (await listVolumes(run)).filter(isMeant);
    if (run.isJson) return run.print(toJsonArray(VolumeSchema, volumes));
    if (run.settings.quiet) return run.print(volumes.map((each) => `${each.name}\n`).join(""));
    if (template !== undefined)
      return run.print(filledRows(template, volumes, (volume, field) => FIELDS.get(field)?.(volume) ?? ""));
    const rows = volumes.map((volume) => COLUMNS.map(([, cell]) => printable(cell(volume))));
    run.print(columns([COLUMNS.map(([heading]) => heading), ...rows]));
  });
};
