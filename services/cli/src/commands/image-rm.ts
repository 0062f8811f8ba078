import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import { eachOperand } from "../each-operand.ts";
import { printable } from "../output/printable.ts";

export const imageRmCommand: CommandDefinition = (bind) => {
  const command = describedCommand("rm", "remove images from all nodes", [
    "image rm python:3.11",
    "image rm sha256:3f9a1c",
  ]).argument("<image...>", "name, id, or prefix of an id");
  return bind(command, async (run, { args }) => {
    await eachOperand(run, args, async (image) => {
      const what = `remove image "${printable(image)}"`;
      const { imageId } = await run.change({ what }, (api, requestId, call) =>
        api.images.deleteImage({ requestId, image }, call),
      );
      return { line: imageId, json: { imageId } };
    });
  });
};
