import { type CommandDefinition, commandWords, describedCommand } from "../command-definition.ts";
import { createContainer } from "../container-lifecycle.ts";
import { addContainerOptions, type ContainerOptions, newPlace, printPlace } from "../container-options.ts";
import { isImagePath } from "../image-source.ts";
import { importImage } from "../import-image.ts";

export const createCommand: CommandDefinition = (bind) => {
  const command = describedCommand("create", "create a container in its own VM, without starting it", [
    "create --name job python:3.11 python3 /job.py",
    "create --sandbox job --name helper debian:bookworm sleep inf",
  ])
    .argument("<image>", "name or id of an image, or an archive such as ./app.tar")
    .argument(
      "[args...]",
      "arguments of the image's entrypoint, instead of the image's command; without an entrypoint, the command",
    )
    .passThroughOptions();
  return bind(addContainerOptions(command), async (run, { args: [image = "", ...operands], opts }) => {
    const options: ContainerOptions = opts.call(command);
    const place = newPlace(options);
    const imageId = isImagePath(image) ? (await importImage(run, image)).imageId : image;
    await createContainer(run, { options, place, image: imageId, args: commandWords(operands) });
    printPlace(run, place);
  });
};
