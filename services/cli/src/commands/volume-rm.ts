import { deleteVolume } from "../client/volumes.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import { eachOperand } from "../each-operand.ts";
import { volumeName } from "../mounts/volume-words.ts";

export const volumeRmCommand: CommandDefinition = (bind) => {
  const command = describedCommand("rm", "delete volumes that no sandbox uses, with their data", [
    "volume rm data",
    "volume rm -f data cache",
  ])
    .argument("<name...>", "names of volumes")
    .option("-f, --force", "do not fail for a volume that does not exist");
  return bind(command, async (run, { args }) => {
    const isForced = command.opts<{ readonly force?: boolean }>().force === true;
    for (const name of args) volumeName("volume rm", name);
    await eachOperand(run, args, async (name) => {
      await deleteVolume(run, name, { mayBeMissing: isForced });
      return { line: name, json: { name } };
    });
  });
};
