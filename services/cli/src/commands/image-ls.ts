import { timestampMs } from "@bufbuild/protobuf/wkt";
import { listAllImages } from "@paddock/client";
import { type Image, ImageSchema } from "@paddock/protocol";
import { Option } from "commander";
import { warnOfMissing } from "../client/targets.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import type { CommandRun } from "../command-run.ts";
import { columns } from "../output/columns.ts";
import { toJsonArray } from "../output/json.ts";
import { printable } from "../output/printable.ts";
import { formatAge, formatBytes } from "../output/quantities.ts";

const HEADING = ["NAME", "ID", "SIZE", "CREATED", "ARCHITECTURE", "NODES"];
const SHORT_ID = "sha256:".length + 12;

type LsOptions = { readonly trunc?: boolean };

export const imageLsCommand: CommandDefinition = (bind) => {
  const command = describedCommand("ls", "list images", [
    "image ls",
    "image ls python",
    "image ls -q",
    "image ls -o json",
  ])
    .argument("[image]", "name with or without its tag, or id")
    .option("--no-trunc", "whole ids")
    // All images are listed, so there are no intermediate ones.
    .addOption(new Option("-a, --all").hideHelp());
  return bind(command, async (run, { args: [wanted] }) => {
    const isShort = command.opts<LsOptions>().trunc !== false;
    const images = (await listImages(run)).filter((image) => wanted === undefined || isNamed(image, wanted));
    if (run.isJson) return run.print(toJsonArray(ImageSchema, images));
    if (run.settings.quiet) return run.print(images.map(({ imageId }) => `${imageId}\n`).join(""));
    const rows = images.map((image) =>
      [
        image.names.join(", ") || "-",
        isShort ? image.imageId.slice(0, SHORT_ID) : image.imageId,
        formatBytes(image.sizeBytes),
        image.createdAt ? `${formatAge(Date.now() - timestampMs(image.createdAt))} ago` : "-",
        image.architecture || "-",
        image.nodeIds.join(", "),
      ].map(printable),
    );
    run.print(columns([HEADING, ...rows]));
  });
};

/** Whether `text` names the image. */
export const isNamed = ({ names, imageId }: Image, text: string): boolean =>
  names.some((name) => name === text || name.replace(/:[^:/]*$/, "") === text) ||
  imageId === text ||
  (text.length >= 4 && (imageId.startsWith(text) || imageId.startsWith(`sha256:${text}`)));

export async function listImages(run: CommandRun): Promise<readonly Image[]> {
  const { images, unreachableNodes } = await run.call({ what: "list the images" }, listAllImages);
  warnOfMissing(run, unreachableNodes, "images that only they have are missing from this list");
  return images;
}
