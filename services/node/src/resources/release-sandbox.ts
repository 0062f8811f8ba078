import type { PeerPair } from "@paddock/network";
import type { Connection } from "../network/host-network.ts";
import type { NodeContext } from "../node-context.ts";
import { hostSharesOf } from "../record/host-shares.ts";
import { interfacesOnHost } from "../record/sandbox-interfaces.ts";
import type { SandboxRecord } from "../record/sandbox-record.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { firstAddresses, mutualPeers, pairsOf } from "../wire/network-peers.ts";
import { interfacePlans } from "../wire/network-rules.ts";
import type { ResourceOwner } from "./host-resource.ts";
import { type Extent, releaseResources } from "./walks.ts";

const TIMEOUT_MS = 15_000;

/** The owner of a sandbox's host resources. */
export const ownerOf = (ctx: NodeContext, entry: SandboxEntry): ResourceOwner => ({
  host: ctx,
  vm: entry.vmPaths,
  sandbox: entry.paths,
  machine: entry.vm?.machine,
  connections: connectionsOf(ctx, entry.record),
  netns: entry.record.network.netns ?? "none",
  shares: hostSharesOf(entry.record.spec),
  pairs: peerPairsOf(ctx, entry.record),
});

/** The interface with this id on the host's network, including one that is noted to be added. */
export function hostInterface(ctx: NodeContext, record: SandboxRecord, interfaceId: string): Connection {
  const at = interfacesOnHost(record).findIndex((each) => each.interfaceId === interfaceId);
  const connection = connectionsOf(ctx, record)[at];
  if (connection === undefined) throw new Error(`no interface ${interfaceId} is known`);
  return connection;
}

const peersIn = ({ sandboxes }: NodeContext, record: SandboxRecord) =>
  mutualPeers(record, (id) => sandboxes.find(id)?.record);

/** The consents of a sandbox and its peers on this node. */
export const peerPairsOf = (ctx: NodeContext, record: SandboxRecord): readonly PeerPair[] =>
  ctx.network === undefined ? [] : pairsOf(record, peersIn(ctx, record), ctx.network.network);

/** The interfaces of a sandbox's VM on the host's network, including one that is noted to be added. */
export function connectionsOf(ctx: NodeContext, record: SandboxRecord): readonly Connection[] {
  const { network, vmUidBase } = ctx;
  if (network === undefined) return [];
  const peers = peersIn(ctx, record).flatMap((peer) => firstAddresses(peer, network.network));
  return interfacePlans(record, network.network, network.resolver.nameservers, peers).map((plan) => ({
    ...plan,
    uid: vmUidBase + record.vm.slot,
    owner: record.vm.id,
  }));
}

/**
 * Releases a sandbox's host resources after its logs are finished: all of them, or those that it does not keep while stopped.
 * Idempotent; needs neither the guest nor a record of the process.
 */
export async function releaseSandbox(
  ctx: NodeContext,
  entry: SandboxEntry,
  owner: ResourceOwner,
  extent: Extent,
): Promise<void> {
  const { record, sandboxId } = entry;
  await Promise.all(record.containers.map(({ containerId }) => ctx.logs.stop(sandboxId, containerId)));
  await releaseResources(ctx.resources, extent, owner, TIMEOUT_MS);
}
