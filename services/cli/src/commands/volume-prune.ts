import { usageError } from "../cli-error.ts";
import { ANONYMOUS_LABEL, deleteVolume, listVolumes } from "../client/volumes.ts";
import { type CommandDefinition, collect, describedCommand } from "../command-definition.ts";
import { eachOperand } from "../each-operand.ts";
import { printable } from "../output/printable.ts";
import { parseVolumeFilter } from "../volume-filter.ts";

type PruneOptions = {
  readonly all?: boolean;
  readonly force?: boolean;
  readonly filter?: readonly string[];
};

const SHOWN = 10;

export const volumePruneCommand: CommandDefinition = (bind) => {
  const command = describedCommand("prune", "delete the volumes that no sandbox uses", [
    "volume prune --force",
    "volume prune --all --force --filter label=team=web",
  ])
    .option("-a, --all", "also those with a chosen name, not only those with a generated one")
    .option("-f, --force", "delete them; without it they are only named")
    .option("--filter <KEY=VALUE>", "only those that match, as in volume ls; may be repeated", collect);
  return bind(command, async (run) => {
    const { all, force, filter } = command.opts<PruneOptions>();
    const isMeant = parseVolumeFilter(filter ?? []);
    const unused = (await listVolumes(run)).filter(
      (volume) =>
        volume.users.length === 0 &&
        isMeant(volume) &&
        (all === true || Object.hasOwn(volume.labels, ANONYMOUS_LABEL)),
    );
    const names = unused.map(({ name }) => name);
    if (names.length > 0 && !force) {
      const shown = names.slice(0, SHOWN).map(printable).join(", ");
      const more = names.length > SHOWN ? `, and ${names.length - SHOWN} more` : "";
      throw usageError(`this deletes ${shown}${more}, with all data`, "write --force to delete");
    }
    await eachOperand(run, names, async (name) => {
      // Another client may delete it, too.
      await deleteVolume(run, name, { mayBeMissing: true });
      return { line: name, json: { name } };
    });
  });
};
