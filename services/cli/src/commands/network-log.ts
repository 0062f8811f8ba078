import { ListRefusedPacketsResponseSchema } from "@paddock/protocol";
import { findNetwork } from "../client/networks.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import { columns } from "../output/columns.ts";
import { toJsonText } from "../output/json.ts";
import { REFUSED_HEADING, refusedRow } from "../output/network-text.ts";

export const networkLogCommand: CommandDefinition = (bind) => {
  const command = describedCommand(
    "log",
    "list the packets that the policy of a sandbox refused in the last five minutes, the last first",
    ["network log web", "network log web -o json"],
  ).argument("<sandbox>", "id of a sandbox");
  return bind(command, async (run, { args: [target = ""] }) => {
    const { sandboxId } = await findNetwork(run, target);
    const what = `list the refused packets of sandbox "${sandboxId}"`;
    const refused = await run.call({ what }, (api, options) =>
      api.sandboxes.listRefusedPackets({ sandboxId }, options),
    );
    if (run.isJson) return run.print(toJsonText(ListRefusedPacketsResponseSchema, refused));
    run.print(columns([REFUSED_HEADING, ...refused.packets.map(refusedRow)]));
    const { refusedPackets, forgedPackets } = refused;
    run.warn(
      `since its start ${refusedPackets} packets were refused, and ${forgedPackets} forged ones dropped`,
    );
  });
};
