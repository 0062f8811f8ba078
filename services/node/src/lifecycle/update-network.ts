import { clone, create } from "@bufbuild/protobuf";
import { invalidField } from "@paddock/domain";
import { formatAddress, guestInterface } from "@paddock/network";
import {
  type Bandwidth,
  type NetworkPeers,
  type NetworkPolicy,
  NetworkSpecSchema,
  type PublishedPorts,
  type SandboxSpec,
  SandboxSpecSchema,
} from "@paddock/protocol";
import type { Connection } from "../network/host-network.ts";
import type { PortChange } from "../network/host-ports.ts";
import type { NetworkOfHost, NodeContext } from "../node-context.ts";
import { checkRecordSize } from "../record/record-size.ts";
import { interfacesInGuest } from "../record/sandbox-interfaces.ts";
import { machineOf, type SandboxRecord } from "../record/sandbox-record.ts";
import { connectionsOf, peerPairsOf } from "../resources/release-sandbox.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { changedPorts, egressPolicy } from "../wire/network-spec.ts";

/** The network of the sandbox. Throws INVALID_FIELD for a sandbox without one. */
export function requireNetwork({ network }: NodeContext, { record, sandboxId }: SandboxEntry): NetworkOfHost {
  if (network !== undefined && record.network.interfaces.length > 0) return network;
  const { netns } = record.network;
  throw invalidField(
    "sandbox_id",
    netns === undefined
      ? `sandbox ${sandboxId} has no network`
      : `the network of sandbox ${sandboxId} is that of the network namespace ${netns.name}, whose owner changes it`,
  );
}

/** The changes; undefined means no change. */
export type NetworkChange = {
  readonly policy: NetworkPolicy | undefined;
  readonly bandwidth: Bandwidth | undefined;
  readonly publishedPorts: PublishedPorts | undefined;
  readonly peers: NetworkPeers | undefined;
};

/**
 * Changes the policy, the rates and the published ports. The daemon first listens on new ports, because one in use refuses the
 * whole change. Then the record changes: if the daemon dies in between, the next one writes the rules of the record. If the
 * host refuses the change, the record is reverted. Needs the lock.
 */
export async function updateNetworkOf(
  ctx: NodeContext,
  entry: SandboxEntry,
  change: NetworkChange,
  signal: AbortSignal,
): Promise<void> {
  const { record: before } = entry;
  const spec = changedSpec(before, change);
  // Throws for an invalid policy.
  egressPolicy(spec.network?.policy);
  checkRecordSize({ ...before, spec }, before);
  await using ports = await portsOf(ctx, before, change);
  const network = { ...before.network, published: ports?.published ?? before.network.published };
  entry.update((record) => ({ ...record, spec, network }));
  try {
    if (machineOf(before) !== undefined) {
      const [old, after] = [connectionsOf(ctx, before), connectionsOf(ctx, entry.record)];
      await changeAll(ctx, entry, { before: old, after, signal });
      if (change.peers !== undefined) await changePeers(ctx, before, entry.record, signal);
    }
  } catch (error) {
    entry.update((record) => ({ ...record, spec: before.spec, network: before.network }));
    throw error;
  }
  await ports?.commit();
}

/** Lets the sandbox talk to its new peers, and to no others. */
async function changePeers(
  ctx: NodeContext,
  before: SandboxRecord,
  after: SandboxRecord,
  signal: AbortSignal,
): Promise<void> {
  const [old, wanted] = [peerPairsOf(ctx, before), peerPairsOf(ctx, after)];
  if (old.length > 0) await ctx.network?.part(old, signal);
  if (wanted.length > 0) await ctx.network?.join(wanted, signal);
}

/** The new published ports, with the daemon listening on them; undefined when they do not change. */
async function portsOf(
  { network: host, ports }: NodeContext,
  { network, vm }: SandboxRecord,
  { publishedPorts }: NetworkChange,
): Promise<PortChange | undefined> {
  const [first] = network.interfaces;
  if (publishedPorts === undefined || host === undefined || first === undefined) return undefined;
  const guest = formatAddress(guestInterface(host.network, first.index).v4);
  return await ports.change(vm.id, changedPorts(publishedPorts.ports, network.published), guest);
}

type Change = {
  readonly before: readonly Connection[];
  readonly after: readonly Connection[];
  readonly signal: AbortSignal;
};

/** Timeout to undo a change that failed for one interface. */
const UNDO_TIMEOUT_MS = 10_000;

/** Changes all interfaces or none. */
async function changeAll(
  ctx: NodeContext,
  entry: SandboxEntry,
  { before, after, signal }: Change,
): Promise<void> {
  const whole = new Set(interfacesInGuest(entry.record).map(({ index }) => index));
  const changed: [Connection, Connection][] = [];
  for (const [at, old] of before.entries()) {
    const next = after[at];
    if (next === undefined) continue;
    try {
      await ctx.network?.change(old, next, signal);
      changed.unshift([next, old]);
    } catch (error) {
      // The host may have nothing left of an interface whose removal or addition failed.
      if (!whole.has(old.rules.guest.index)) continue;
      for (const [from, to] of changed)
        await ctx.network?.change(from, to, AbortSignal.timeout(UNDO_TIMEOUT_MS)).catch((err: unknown) => {
          entry.log.error(
            { err },
            "the rules of an interface could not be restored; the next start writes them",
          );
        });
      throw error;
    }
  }
}

function changedSpec(
  { spec }: SandboxRecord,
  { policy, bandwidth, publishedPorts, peers }: NetworkChange,
): SandboxSpec {
  const changed = clone(SandboxSpecSchema, spec);
  const network = changed.network ?? create(NetworkSpecSchema);
  if (policy !== undefined) network.policy = policy;
  if (bandwidth !== undefined) network.bandwidth = bandwidth;
  if (publishedPorts !== undefined) network.publishedPorts = publishedPorts.ports;
  if (peers !== undefined) network.peers = peers.sandboxIds;
  changed.network = network;
  return changed;
}
