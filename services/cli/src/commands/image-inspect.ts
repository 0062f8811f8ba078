import { ImageSchema } from "@paddock/protocol";
import { CliError } from "../cli-error.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import { toJsonArray } from "../output/json.ts";
import { printable } from "../output/printable.ts";
import { isNamed, listImages } from "./image-ls.ts";

export const imageInspectCommand: CommandDefinition = (bind) => {
  const command = describedCommand("inspect", "show images in full, as JSON", [
    "image inspect python:3.11",
  ]).argument("<image...>", "name, id, or prefix of an id");
  return bind(command, async (run, { args }) => {
    const all = await listImages(run);
    const found = args.flatMap((text) => {
      const images = all.filter((image) => isNamed(image, text));
      if (images.length === 0)
        run.report(
          new CliError(`there is no image "${printable(text)}"`, { hint: 'see "paddock image ls"' }),
        );
      return images;
    });
    run.print(toJsonArray(ImageSchema, [...new Set(found)]));
  });
};
