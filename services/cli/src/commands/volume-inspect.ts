import { type Volume, VolumeSchema } from "@paddock/protocol";
import { CliError } from "../cli-error.ts";
import { findVolume } from "../client/volumes.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import { volumeName } from "../mounts/volume-words.ts";
import { toJsonArray } from "../output/json.ts";

export const volumeInspectCommand: CommandDefinition = (bind) => {
  const command = describedCommand("inspect", "show volumes in full, as JSON", [
    "volume inspect data",
    "volume inspect data | jq '.[0].users'",
  ]).argument("<name...>", "names of volumes");
  return bind(command, async (run, { args }) => {
    for (const name of args) volumeName("volume inspect", name);
    const found: Volume[] = [];
    for (const name of args) {
      try {
        found.push(await findVolume(run, name));
      } catch (error) {
        // The others are still shown.
        if (!(error instanceof CliError) || run.interruptedBy !== undefined) throw error;
        run.report(error);
      }
    }
    run.print(toJsonArray(VolumeSchema, found));
  });
};
