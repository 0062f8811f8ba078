import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Image, ImageSchema } from "@paddock/protocol";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import type { CommandRun } from "../command-run.ts";
import { columns } from "../output/columns.ts";
import { toJsonArray } from "../output/json.ts";
import { printable } from "../output/printable.ts";
import { formatAge, formatBytes } from "../output/quantities.ts";

const HEADING = ["NAME", "ID", "SIZE", "CREATED", "ARCHITECTURE", "NODES"];
const SHORT_ID = "sha256:".length + 12;

export const imageLsCommand: CommandDefinition = (bind) => {
  const command = describedCommand("ls", "list images", [
    "image ls",
    "image ls -q",
    "image ls -o json",
  ]).alias("list");
  return bind(command, async (run) => {
    const images = await listImages(run);
    if (run.isJson) return run.print(toJsonArray(ImageSchema, images));
    if (run.settings.quiet) return run.print(images.map(({ imageId }) => `${imageId}\n`).join(""));
    const rows = images.map((image) =>
      [
        image.names.join(", ") || "-",
        image.imageId.slice(0, SHORT_ID),
        formatBytes(image.sizeBytes),
        image.createdAt ? `${formatAge(Date.now() - timestampMs(image.createdAt))} ago` : "-",
        image.architecture || "-",
        image.nodeIds.join(", "),
      ].map(printable),
    );
    run.print(columns([HEADING, ...rows]));
  });
};

async function listImages(run: CommandRun): Promise<Image[]> {
  const all: Image[] = [];
  for (let pageToken = ""; ; ) {
    const page = await run.call({ what: "list the images" }, (api, options) =>
      api.images.listImages({ pageSize: 1000, pageToken }, options),
    );
    all.push(...page.images);
    pageToken = page.nextPageToken;
    if (pageToken === "") return all;
  }
}
