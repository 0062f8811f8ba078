import { type CommandDefinition, commandWords, describedCommand } from "../command-definition.ts";
import { createContainer, newContainer, prepared } from "../container-lifecycle.ts";
import { addContainerOptions, type ContainerOptions, printPlace } from "../container-options.ts";

export const createCommand: CommandDefinition = (bind) => {
  const command = describedCommand("create", "create a container in its own VM, without starting it", [
    "create --name job python:3.11 python3 /job.py",
    "create --name db --mount type=volume,source=data,target=/data db:1",
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
    const wanted = newContainer(run, options, { image, args: commandWords(operands) });
    await createContainer(run, await prepared(run, wanted));
    printPlace(run, wanted.place);
  });
};
