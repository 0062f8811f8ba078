import { once } from "node:events";
import { isIP, type Socket } from "node:net";
import { type ConnectionEnd, forwardConnection, type SandboxPort } from "@paddock/client";
import { formatHostPort } from "@paddock/rpc";
import { usageError } from "../cli-error.ts";
import { findSandbox } from "../client/targets.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import type { CommandRun } from "../command-run.ts";
import { printable } from "../output/printable.ts";
import { localConnection } from "../ports/local-connection.ts";
import { listenLocally } from "../ports/local-listeners.ts";
import { type PortPair, parsePortPair } from "../ports/port-pair.ts";

type PortForwardOptions = { readonly address: string };

export const portForwardCommand: CommandDefinition = (bind) => {
  const command = describedCommand("port-forward", "connect local ports to TCP ports inside a sandbox", [
    "port-forward web 8080:80",
    "port-forward web 5432 :80",
    "port-forward --address 0.0.0.0 web 8080:80",
  ])
    .argument("<sandbox>", "the sandbox")
    .argument("<ports...>", "[LOCAL:]REMOTE; an empty LOCAL or 0 takes a free port")
    .option("--address <address>", 'address of this host to listen on, or "localhost"', "127.0.0.1");
  return bind(command, async (run, { args: [target = "", ...words] }) => {
    const { address } = command.opts<PortForwardOptions>();
    if (isIP(address) === 0 && address !== "localhost")
      throw usageError(`${JSON.stringify(address)} is not an IP address`);
    const pairs = words.map(parsePortPair);
    const { sandboxId } = await findSandbox(run, target);
    const connections = new Set<Promise<void>>();
    using listeners = await listenLocally({
      address,
      pairs,
      onConnection: (socket, { remotePort }) => {
        const done = forward(run, socket, { sandboxId, port: remotePort });
        connections.add(done);
        void done.then(() => connections.delete(done));
      },
    });
    run.print(announcement(run, sandboxId, { address, pairs: listeners.pairs }));
    if (!run.signal.aborted) await once(run.signal, "abort");
    listeners[Symbol.dispose]();
    await Promise.all(connections);
  });
};

type Listening = { readonly address: string; readonly pairs: readonly PortPair[] };

function announcement(run: CommandRun, sandboxId: string, { address, pairs }: Listening): string {
  if (run.isJson)
    return `${JSON.stringify({ sandboxId, ports: pairs.map((pair) => ({ address, ...pair })) })}\n`;
  const lines = pairs.map(({ localPort, remotePort }) => {
    const local = formatHostPort({ host: address, port: localPort });
    return run.settings.quiet ? local : `Forwarding from ${local} -> ${remotePort}`;
  });
  return `${lines.join("\n")}\n`;
}

/** Carries one connection. Its failure is reported, and the command continues. */
async function forward(run: CommandRun, socket: Socket, port: SandboxPort): Promise<void> {
  const what = `connect to port ${port.port} of sandbox "${port.sandboxId}"`;
  try {
    // A limit for the time of a call is none for a connection.
    const end = await forwardConnection(run.api, port, localConnection(socket), { signal: run.signal });
    noteReset(run, port, end);
  } catch (error) {
    if (!run.signal.aborted) run.report(run.explain(error, { what }));
  }
}

function noteReset(run: CommandRun, { port }: SandboxPort, end: ConnectionEnd): void {
  if (end.kind === "reset" && end.by === "sandbox")
    run.warn(`a connection to port ${port} was reset: ${printable(end.reason)}`);
}
