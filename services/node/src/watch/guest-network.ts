/**
 * Reads the network of a guest, and corrects it according to the record.
 *
 * The agent applies a network as a whole or not at all. But programs in the guest can change it, and a daemon can die between
 * the change in the guest and that of the record. So the node compares the two on each new connection to the guest, and
 * corrects differences.
 */
import type { agentpb, NetworkDrift } from "@paddock/protocol";
import type { AgentClient } from "../agent/connect-agent.ts";
import type { NodeContext } from "../node-context.ts";
import type { SandboxRecord } from "../record/sandbox-record.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import type { RunningVm } from "../vm/running-vm.ts";
import type { NodeSide } from "../wire/guest-network.ts";
import { interfaceDrift, type ReportedRoutes, reportedRoutes, routeDrift } from "../wire/network-drift.ts";
import { configureGuest } from "./configure-guest.ts";

const READ_TIMEOUT_MS = 5000;
/** Timeout of a comparison, including the wait for the lock. */
const RESTORE_PATIENCE_MS = 60_000;
/** Timeout of the part with the lock: a guest that does not answer must not hold up other calls on its sandbox for longer. */
const LOCKED_MS = 10_000;

/** The network that a guest reports. */
export type GuestNetwork = {
  readonly interfaces: readonly agentpb.InterfaceStatus[];
  readonly routes: ReportedRoutes;
};

/** Asks the guest for its interfaces and routes. */
export async function readGuestNetwork(
  { network }: Pick<AgentClient, "network">,
  record: SandboxRecord,
  side: NodeSide,
  signal: AbortSignal,
): Promise<GuestNetwork> {
  const options = { signal, timeoutMs: READ_TIMEOUT_MS };
  const { interfaces } = await network.listInterfaces({}, options);
  const { routes } = await network.listRoutes({}, options);
  return { interfaces, routes: reportedRoutes(record, side, routes) };
}

/** Sets the guest's network to that of the record. Keeps routes by interfaces that programs in the guest created. */
export async function applyNetwork(
  client: Pick<AgentClient, "network" | "sandbox">,
  ctx: NodeContext,
  record: SandboxRecord,
  signal: AbortSignal,
): Promise<void> {
  await configureGuest(client, ctx, record, {
    signal,
    kept: await foreignRoutes(client, ctx, record, signal),
  });
}

/** Routes by interfaces that programs in the guest made. */
export async function foreignRoutes(
  client: Pick<AgentClient, "network">,
  { network }: Pick<NodeContext, "network">,
  record: SandboxRecord,
  signal: AbortSignal,
): Promise<readonly agentpb.Route[]> {
  if (network === undefined || record.network.interfaces.length === 0) return [];
  return (await readGuestNetwork(client, record, network, signal)).routes.foreign;
}

/**
 * Corrects differences in the guest's network. The first comparison takes no lock. If it finds differences, it is repeated with
 * the lock, because a call on the sandbox may be their cause. Never throws.
 */
export async function restoreNetworkOf(
  ctx: NodeContext,
  entry: SandboxEntry,
  vm: RunningVm,
  client: AgentClient,
): Promise<void> {
  const { network } = ctx;
  if (network === undefined || vm.configuredOver === client || entry.record.network.interfaces.length === 0)
    return;
  vm.configuredOver = client;
  const signal = AbortSignal.any([vm.lifetime, AbortSignal.timeout(RESTORE_PATIENCE_MS)]);
  const differences = async (bound: AbortSignal) => {
    // A resume configures the guest.
    const isAsked = entry.vm === vm && entry.record.phase.kind !== "paused";
    return isAsked ? await driftOf(client, entry.record, network, bound) : [];
  };
  try {
    if ((await differences(signal)).length === 0) return;
    await ctx.lock.with(entry.sandboxId, { name: "restore the network of the guest", signal }, async () => {
      const bound = AbortSignal.any([signal, AbortSignal.timeout(LOCKED_MS)]);
      const drift = await differences(bound);
      if (drift.length === 0) return;
      entry.log.warn(
        { drift: drift.map(({ subject }) => subject) },
        "the network of a guest differs from its record, correcting it",
      );
      await applyNetwork(client, ctx, entry.record, bound);
    });
  } catch (error) {
    if (!vm.lifetime.aborted)
      entry.log.warn({ err: error }, "comparing the network of a guest with its record failed");
  }
}

async function driftOf(
  client: AgentClient,
  record: SandboxRecord,
  side: NodeSide,
  signal: AbortSignal,
): Promise<readonly NetworkDrift[]> {
  const { interfaces, routes } = await readGuestNetwork(client, record, side, signal);
  return [...interfaceDrift(record, side, interfaces), ...routeDrift(record, side, routes.own)];
}
