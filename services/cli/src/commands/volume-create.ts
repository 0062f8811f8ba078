import { type CreateVolumeResponse, VolumeSchema } from "@paddock/protocol";
import { CliError } from "../cli-error.ts";
import { ANONYMOUS_LABEL } from "../client/volumes.ts";
import { type CommandDefinition, collect, describedCommand } from "../command-definition.ts";
import { parseLabels } from "../container-options.ts";
import { volumeName, volumeSize } from "../mounts/volume-words.ts";
import { toJsonText } from "../output/json.ts";
import { formatBytes } from "../output/quantities.ts";

type CreateOptions = {
  readonly size?: string;
  readonly label?: readonly string[];
  readonly from?: string;
  readonly node?: string;
};

export const volumeCreateCommand: CommandDefinition = (bind) => {
  const command = describedCommand("create", "create a volume, empty or as a copy, and print its name", [
    "volume create data --size 10g",
    "volume create --label team=web --node host-1",
    "volume create before-upgrade --from data",
  ])
    .argument("[name]", "its name (default: a generated one)")
    .option("--size <size>", "from 16m to 16t (default: 1g, or the size of --from)")
    .option("-l, --label <KEY=VALUE>", "label; may be repeated", collect)
    .option("--from <volume>", "copy this volume, which no sandbox may write to")
    .option("--node <id>", "node that has it (default: that of --from, or any with room)");
  return bind(command, async (run, { args: [name] }) => {
    const { size, label, from, node } = command.opts<CreateOptions>();
    const wanted = {
      name: name === undefined ? "" : volumeName("volume create", name),
      sizeBytes: size === undefined ? 0n : volumeSize("--size", size),
      labels: { ...parseLabels(label ?? []), ...(name === undefined && { [ANONYMOUS_LABEL]: "" }) },
      source: from === undefined ? "" : volumeName("--from", from),
      nodeId: node ?? "",
    };
    const called = wanted.name === "" ? "a volume" : `volume "${wanted.name}"`;
    const created = await run.change(
      {
        what: `create ${called}`,
        doing: `creating ${called}`,
        done: ({ volume }: CreateVolumeResponse) =>
          `created volume ${volume?.name} (${formatBytes(volume?.sizeBytes ?? 0n)})`,
      },
      (api, requestId, call) => api.volumes.createVolume({ requestId, ...wanted }, call),
    );
    const { volume } = created;
    if (!volume) throw new CliError(`the api answered without ${called}`);
    if (run.isJson) run.print(toJsonText(VolumeSchema, volume));
    else run.print(`${volume.name}\n`);
  });
};
