import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import { newCliRequestId } from "../command-run.ts";
import { eachOperand } from "../each-operand.ts";
import { printable } from "../output/printable.ts";

export const imageRmCommand: CommandDefinition = (bind) => {
  const command = describedCommand("rm", "remove images from all nodes", [
    "image rm python:3.11",
    "image rm sha256:3f9a1c",
  ]).argument("<image...>", "name, id, or prefix of an id");
  return bind(command, async (run, { args }) => {
    await eachOperand(run, args, async (image) => {
      const requestId = newCliRequestId();
      const { imageId } = await run.call(
        { what: `remove image "${printable(image)}"`, requestId },
        (api, options) => api.images.deleteImage({ requestId, image }, options),
      );
      return { line: imageId, json: { imageId } };
    });
  });
};
