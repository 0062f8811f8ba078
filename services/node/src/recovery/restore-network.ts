/** Restores the network of VMs that an earlier daemon left running. */
import { formatAddress } from "@paddock/network";
import type { NodeContext } from "../node-context.ts";
import { machineOf } from "../record/sandbox-record.ts";
import { connectionsOf } from "../resources/release-sandbox.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";

/**
 * Writes the rules of all VMs that may run, so that they do not depend on where an earlier daemon stopped, and reserves the
 * published ports of all sandboxes. A port that another program has taken in the meantime is logged: the rules lead to the
 * sandbox all the same.
 */
export async function restoreNetwork(ctx: NodeContext, entries: readonly SandboxEntry[]): Promise<void> {
  const { network, ports } = ctx;
  if (network === undefined) return;
  const running = entries.filter(({ record }) => machineOf(record)?.bootId === ctx.bootId);
  await network.restore(running.flatMap(({ record }) => connectionsOf(ctx, record)));
  for (const entry of entries) {
    const { vm, network: own } = entry.record;
    const [connection] = connectionsOf(ctx, entry.record);
    if (connection === undefined || own.published.length === 0) continue;
    const guest = formatAddress(connection.rules.guest.v4);
    await ports
      .reserve(vm.id, own.published, guest)
      .catch((err: unknown) => entry.log.warn({ err }, "reserving a published port failed"));
  }
}
