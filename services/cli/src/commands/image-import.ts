import { ImageFormat, ImageSchema } from "@paddock/protocol";
import { Option } from "commander";
import { usageError } from "../cli-error.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import { importImage } from "../import-image.ts";
import { toJsonText } from "../output/json.ts";

const FORMATS: Readonly<Record<string, ImageFormat>> = {
  oci: ImageFormat.OCI,
  docker: ImageFormat.DOCKER,
  rootfs: ImageFormat.ROOTFS,
};

type ImportOptions = {
  readonly name?: string;
  readonly format?: string;
  readonly input?: string;
  readonly command?: readonly string[];
};

export const imageImportCommand: CommandDefinition = (bind) => {
  const command = describedCommand("import", "import an image on all nodes", [
    "image import app.tar",
    "docker save python:3.11 | paddock image import -",
    "image import --name tools:1 --format rootfs rootfs.tar.gz",
    "image import ./rootfs-directory --name base",
  ])
    .argument("[source]", 'an archive, a directory (OCI layout or root file system), or "-" for stdin')
    .option("--name <name>", "name of the image, such as python:3.11")
    .option("--format <format>", '"oci", "docker" or "rootfs"; else it is found out')
    .addOption(new Option("-i, --input <file>").hideHelp())
    .option("--command <word...>", "for a root file system: its command");
  return bind(command, async (run, { args: [operand] }) => {
    const { name, format, input, command: words } = command.opts<ImportOptions>();
    const source = operand ?? input;
    if (source === undefined)
      throw usageError("missing required argument 'source'", 'name an archive, or write "-" for stdin');
    const known = format === undefined ? undefined : FORMATS[format];
    if (format !== undefined && known === undefined) {
      throw usageError(`"${format}" is not a format of image`, 'write "oci", "docker" or "rootfs"');
    }
    const image = await importImage(run, source, { name, format: known, command: words });
    run.print(run.isJson ? toJsonText(ImageSchema, image) : `${image.imageId}\n`);
  });
};
