import { type NetworkStatus, NetworkStatusSchema } from "@paddock/protocol";
import { findNetwork } from "../client/networks.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import { modeText, ruleText } from "../network/egress-words.ts";
import { portsText } from "../network/published-port.ts";
import { columns } from "../output/columns.ts";
import { toJsonText } from "../output/json.ts";
import { bandwidthText } from "../output/network-text.ts";
import { printable } from "../output/printable.ts";

export const networkInspectCommand: CommandDefinition = (bind) => {
  const command = describedCommand("inspect", "show the network of a sandbox", [
    "network inspect web",
    "network inspect web -o json | jq .publishedPorts",
  ]).argument("<sandbox>", "id of a sandbox");
  return bind(command, async (run, { args: [target = ""] }) => {
    const { sandboxId, network } = await findNetwork(run, target);
    if (run.isJson) return run.print(toJsonText(NetworkStatusSchema, network));
    run.print(columns(networkRows(sandboxId, network)));
  });
};

/** A name and a value in each row. The rules are in their order, in the words of `--allow` and `--deny`. */
export function networkRows(sandboxId: string, network: NetworkStatus): string[][] {
  const { interfaces, publishedPorts, policy, bandwidth, dnsServers, namespace, peers } = network;
  const ofNode = [
    ["ports", portsText(publishedPorts) || "none"],
    ...(peers.length > 0 ? [["peers", peers.join(", ")]] : []),
    ...(policy?.rules ?? []).map((rule, at) => [`rule ${at + 1}`, ruleText(rule)]),
    ["egress", modeText(policy?.otherwise)],
    ["bandwidth", bandwidthText(bandwidth)],
  ];
  return [
    ["sandbox", sandboxId],
    ...interfaces.map((each) => [
      `interface ${each.interfaceId}`,
      [each.name, ...each.addresses, each.macAddress, `mtu ${each.mtu}`].join(", "),
    ]),
    ...(namespace === "" ? ofNode : [["namespace", namespace]]),
    ["dns servers", dnsServers.join(", ") || "none"],
  ].map((row) => row.map(printable));
}
