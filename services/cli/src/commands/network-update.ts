import { UpdateNetworkResponseSchema } from "@paddock/protocol";
import { CliError, usageError } from "../cli-error.ts";
import { findNetwork } from "../client/networks.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import { parsePublished } from "../network/published-port.ts";
import {
  addListOptions,
  addPolicyOptions,
  type ListOptions,
  type PolicyOptions,
  parseBandwidth,
  parsePeers,
  parsePolicy,
} from "../network-options.ts";
import { columns } from "../output/columns.ts";
import { toJsonText } from "../output/json.ts";
import { networkRows } from "./network-inspect.ts";

type UpdateOptions = PolicyOptions & ListOptions & { readonly rescan?: boolean };

/** The lists that are asked for. The word "none" alone is an empty one. */
function parseLists({ publish, peer }: ListOptions) {
  const given = (words: readonly string[]) => (words.length === 1 && words[0] === "none" ? [] : words);
  return {
    ...(publish && { publishedPorts: { ports: parsePublished(given(publish)) } }),
    ...(peer && { peers: { sandboxIds: parsePeers(given(peer)) } }),
  };
}

const hasChange = (options: UpdateOptions, lists: ReturnType<typeof parseLists>): boolean =>
  options.rescan === true ||
  Object.keys(lists).length > 0 ||
  parsePolicy(options, undefined) !== undefined ||
  parseBandwidth(options, undefined) !== undefined;

export const networkUpdateCommand: CommandDefinition = (bind) => {
  const command = describedCommand(
    "update",
    'change what a running sandbox may reach, its rates, ports and peers, for open connections too. Rules, ports and peers replace all it has ("none" removes them); --egress alone removes its rules',
    [
      "network update web --egress none",
      "network update web --deny any:25 --allow 10.0.0.0/8:5432/tcp",
      "network update web --bandwidth-out 10m --bandwidth-in none",
      "network update web -p 8080:80 --peer db",
    ],
  )
    .argument("<sandbox>", "id of a sandbox")
    .option("--rescan", "read the network namespace that it is in again");
  return bind(addPolicyOptions(addListOptions(command)), async (run, { args: [target = ""] }) => {
    const options = command.opts<UpdateOptions>();
    const lists = parseLists(options);
    if (!hasChange(options, lists))
      throw usageError(
        "there is nothing to change",
        "give --egress, --allow, --deny, a bandwidth, --publish, --peer or --rescan",
      );
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
          {
            ...{ requestId, sandboxId, ...lists, rescan: options.rescan === true },
            ...(policy && { policy }),
            ...(bandwidth && { bandwidth }),
          },
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
