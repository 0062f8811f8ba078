/** Finds the network of a sandbox, and its interfaces by id or by their names in the guest. */
import type { NetworkDrift, NetworkInterface, NetworkStatus } from "@paddock/protocol";
import { CliError } from "../cli-error.ts";
import type { CommandRun } from "../command-run.ts";
import { printable } from "../output/printable.ts";
import { findSandbox } from "./targets.ts";

export type NetworkTarget = { readonly sandboxId: string; readonly network: NetworkStatus };

/** The network of the sandbox that a user names. Throws `CliError`, also for a sandbox without a network. */
export async function findNetwork(run: CommandRun, text: string): Promise<NetworkTarget> {
  const { sandboxId, status } = await findSandbox(run, text);
  if (status.network) return { sandboxId, network: status.network };
  throw new CliError(`sandbox "${sandboxId}" has no network`, {
    hint: "it was created with --network none, or its node offers none (PADDOCK_NETWORK)",
  });
}

/** The interface with that id, else the one with that name in the guest. Throws `CliError`. */
export function findInterface({ sandboxId, network }: NetworkTarget, text: string): NetworkInterface {
  const { interfaces } = network;
  const found =
    interfaces.find(({ interfaceId }) => interfaceId === text) ??
    interfaces.find(({ name }) => name === text);
  if (found) return found;
  throw new CliError(`sandbox "${sandboxId}" has no interface "${printable(text)}"`, {
    hint: itHas(interfaces),
  });
}

/** The only interface, which need not be named. Throws `CliError` if there are several. */
export function onlyInterface({ sandboxId, network: { interfaces } }: NetworkTarget): NetworkInterface {
  const [only] = interfaces;
  if (only && interfaces.length === 1) return only;
  throw new CliError(`sandbox "${sandboxId}" has ${interfaces.length} interfaces, and none is named`, {
    hint: itHas(interfaces),
  });
}

const itHas = (interfaces: readonly NetworkInterface[]): string =>
  interfaces.length === 0
    ? "it has none"
    : `it has ${interfaces.map(({ interfaceId }) => printable(interfaceId)).join(", ")}`;

/** Notes where the guest reports something else than what is declared. */
export function warnOfDrift(run: CommandRun, sandboxId: string, drift: readonly NetworkDrift[]): void {
  for (const { subject, declared, reported } of drift) {
    const [is, should] = [reported, declared].map((text) =>
      text === "" ? "nothing" : `"${printable(text)}"`,
    );
    run.warn(`${printable(subject)}: the guest of "${sandboxId}" reports ${is}, and ${should} is declared`);
  }
}
