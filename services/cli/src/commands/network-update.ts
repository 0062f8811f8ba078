import { UpdateNetworkResponseSchema } from "@paddock/protocol";
import { CliError, usageError } from "../cli-error.ts";
import { findNetwork } from "../client/networks.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import { addPolicyOptions, type PolicyOptions, parseBandwidth, parsePolicy } from "../network-options.ts";
import { columns } from "../output/columns.ts";
import { toJsonText } from "../output/json.ts";
import { networkRows } from "./network-inspect.ts";

export const networkUpdateCommand: CommandDefinition = (bind) => {
  const command = describedCommand(
    "update",
    "change what a running sandbox may reach, and its rates, for open connections too. Rules replace all its rules; --egress alone removes them",
    [
      "network update web --egress none",
      "network update web --deny any:25 --allow 10.0.0.0/8:5432/tcp",
      "network update web --bandwidth-out 10m --bandwidth-in none",
    ],
  ).argument("<sandbox>", "id of a sandbox");
  return bind(addPolicyOptions(command), async (run, { args: [target = ""] }) => {
    const options = command.opts<PolicyOptions>();
    if (parsePolicy(options, undefined) === undefined && parseBandwidth(options, undefined) === undefined)
      throw usageError("there is nothing to change", "give --egress, --allow, --deny or a bandwidth");
    const { sandboxId, network: before } = await findNetwork(run, target);
    const policy = parsePolicy(options, before.policy);
    const bandwidth = parseBandwidth(options, before.bandwidth);
    const response = await run.change(
      {
        what: `update the network of sandbox "${sandboxId}"`,
        doing: `updating the network of sandbox ${sandboxId}`,
        done: () => `updated the network of sandbox ${sandboxId}`,
      },
      (api, requestId, call) =>
        api.sandboxes.updateNetwork(
          { requestId, sandboxId, ...(policy && { policy }), ...(bandwidth && { bandwidth }) },
          call,
        ),
    );
    if (run.isJson) return run.print(toJsonText(UpdateNetworkResponseSchema, response));
    if (run.settings.quiet) return run.print(`${sandboxId}\n`);
    if (!response.network)
      throw new CliError(`the api answered without the network of sandbox "${sandboxId}"`);
    run.print(columns(networkRows(sandboxId, response.network)));
  });
};
