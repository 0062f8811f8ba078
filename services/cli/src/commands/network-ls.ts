import { toJson } from "@bufbuild/protobuf";
import { type NetworkInterface, NetworkInterfaceSchema } from "@paddock/protocol";
import { findNetwork, warnOfDrift } from "../client/networks.ts";
import { listSandboxes } from "../client/targets.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import type { CommandRun } from "../command-run.ts";
import { columns } from "../output/columns.ts";
import { INTERFACE_HEADING, interfaceRow } from "../output/network-text.ts";

type Interfaces = { readonly sandboxId: string; readonly interfaces: readonly NetworkInterface[] };

export const networkLsCommand: CommandDefinition = (bind) => {
  const command = describedCommand("ls", "list the interfaces of sandboxes, as SANDBOX/INTERFACE with -q", [
    "network ls",
    "network ls web db",
    "network ls -o json",
  ]).argument("[sandbox...]", "only of these; notes tell where a guest has something else");
  return bind(command, async (run, { args }) => {
    const found = args.length === 0 ? await allInterfaces(run) : await interfacesOf(run, args);
    const all = found.flatMap(({ sandboxId, interfaces }) => interfaces.map((each) => ({ sandboxId, each })));
    if (run.isJson) return run.printJson(all.map(({ sandboxId, each }) => jsonOf(sandboxId, each)));
    if (run.settings.quiet)
      return run.print(all.map(({ sandboxId, each }) => `${sandboxId}/${each.interfaceId}\n`).join(""));
    run.print(
      columns([INTERFACE_HEADING, ...all.map(({ sandboxId, each }) => interfaceRow(sandboxId, each))]),
    );
  });
};

async function allInterfaces(run: CommandRun): Promise<Interfaces[]> {
  const sandboxes = await listSandboxes(run);
  return sandboxes.map(({ sandboxId, status }) => ({
    sandboxId,
    interfaces: status?.network?.interfaces ?? [],
  }));
}

async function interfacesOf(run: CommandRun, names: readonly string[]): Promise<Interfaces[]> {
  const found: Interfaces[] = [];
  for (const name of names) {
    const { sandboxId } = await findNetwork(run, name);
    const what = `list the interfaces of sandbox "${sandboxId}"`;
    const { interfaces, drift } = await run.call({ what }, (api, options) =>
      api.sandboxes.listInterfaces({ sandboxId }, options),
    );
    warnOfDrift(run, sandboxId, drift);
    found.push({ sandboxId, interfaces });
  }
  return found;
}

function jsonOf(sandboxId: string, each: NetworkInterface): Record<string, unknown> {
  const json = toJson(NetworkInterfaceSchema, each);
  return { sandboxId, ...(typeof json === "object" && json !== null ? json : {}) };
}
