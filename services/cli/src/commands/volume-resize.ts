import { type ResizeVolumeResponse, VolumeSchema } from "@paddock/protocol";
import { CliError } from "../cli-error.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import { volumeName, volumeSize } from "../mounts/volume-words.ts";
import { toJsonText } from "../output/json.ts";
import { formatBytes } from "../output/quantities.ts";

export const volumeResizeCommand: CommandDefinition = (bind) => {
  const command = describedCommand("resize", "make a volume larger, also while a sandbox uses it", [
    "volume resize data 20g",
  ])
    .argument("<name>", "name of a volume")
    .argument("<size>", "the new size, up to 16t; it cannot be less than before");
  return bind(command, async (run, { args: [text = "", size = ""] }) => {
    const name = volumeName("volume resize", text);
    const sizeBytes = volumeSize("volume resize", size);
    const { volume } = await run.change(
      {
        what: `resize volume "${name}"`,
        doing: `resizing volume ${name}`,
        done: (resized: ResizeVolumeResponse) =>
          `volume ${name} has ${formatBytes(resized.volume?.sizeBytes ?? 0n)}`,
      },
      (api, requestId, call) => api.volumes.resizeVolume({ requestId, name, sizeBytes }, call),
    );
    if (!volume) throw new CliError(`the api answered without volume "${name}"`);
    if (run.isJson) run.print(toJsonText(VolumeSchema, volume));
    else run.print(`${volume.name}\n`);
  });
};
