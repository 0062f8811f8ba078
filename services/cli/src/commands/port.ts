import { NetworkProtocol, PublishedPortSchema } from "@paddock/protocol";
import { CliError, usageError } from "../cli-error.ts";
import { findNetwork } from "../client/networks.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import { portRange } from "../network/address-words.ts";
import { hostSides, type PortWanted, protocolText } from "../network/published-port.ts";
import { toJsonArray } from "../output/json.ts";
import { printable } from "../output/printable.ts";

export const portCommand: CommandDefinition = (bind) => {
  const command = describedCommand("port", "list the published ports of a sandbox", [
    "port web",
    "port web 80",
    "port web 53/udp -o json",
  ])
    .argument("<sandbox>", "id of a sandbox")
    .argument("[port]", "only what leads to this port in it: PORT[/tcp|udp]");
  return bind(command, async (run, { args: [target = "", wanted] }) => {
    const isWanted = wanted === undefined ? () => true : matcher(wanted);
    const { sandboxId, network } = await findNetwork(run, target);
    const ports = network.publishedPorts.filter(isWanted);
    if (wanted !== undefined && ports.length === 0)
      throw new CliError(`sandbox "${sandboxId}" has no published port that leads to ${printable(wanted)}`, {
        hint: `see "paddock port ${sandboxId}"`,
      });
    if (run.isJson) return run.print(toJsonArray(PublishedPortSchema, ports));
    const lines = ports.flatMap((port) =>
      hostSides(port, String(port.hostPort)).map((side) =>
        wanted === undefined ? `${port.guestPort}/${protocolText(port.protocol)} -> ${side}` : side,
      ),
    );
    run.print(lines.map((line) => `${printable(line)}\n`).join(""));
  });
};

/** "80" is TCP, as in docker. */
function matcher(text: string): (port: PortWanted) => boolean {
  const [, number = "", name = "tcp"] = /^(\d+)(?:\/(tcp|udp))?$/.exec(text) ?? [];
  const range = portRange(number, 1);
  if (range === undefined)
    throw usageError(`"${printable(text)}" is not a port`, 'write such as "80" or "53/udp"');
  const protocol = name === "udp" ? NetworkProtocol.UDP : NetworkProtocol.TCP;
  return (port) => port.guestPort === range.first && port.protocol === protocol;
}
