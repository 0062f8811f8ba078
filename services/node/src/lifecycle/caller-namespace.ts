/** A sandbox in a caller's network namespace: its network at boot, and after a change of the namespace. */
import { PaddockError } from "@paddock/domain";
import type { NetnsNetwork } from "@paddock/network";
import type { agentpb } from "@paddock/protocol";
import type { AgentClient } from "../agent/connect-agent.ts";
import type { NodeContext } from "../node-context.ts";
import {
  freeSlot,
  type MirroredLink,
  type NetnsRecord,
  type NetworkRecord,
} from "../record/network-record.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { configureGuest } from "../watch/configure-guest.ts";
import { mirrorCard, placedLinks } from "../wire/netns-network.ts";
import { leaveGuest } from "./leave-guest.ts";

/** The network of a sandbox that is about to boot in the namespace. Throws NetworkError `invalid` and `exhausted`. */
export async function networkInNamespace(
  { namespaces }: Pick<NodeContext, "namespaces">,
  { name, slots }: { readonly name: string; readonly slots: number },
  signal: AbortSignal,
): Promise<NetworkRecord> {
  const { inode, network } = await namespaces.read(name, signal);
  const links = placedLinks(network);
  const netns = { name, inode, links, routes: network.routes, neighbours: network.neighbours };
  return { interfaces: [], published: [], slots: links.length - 1 + slots, netns };
}

/** Timeout for the guest to see a card and to be configured. */
const GUEST_PATIENCE_MS = 30_000;

type Change = {
  readonly node: NodeContext;
  readonly entry: SandboxEntry;
  readonly netns: NetnsRecord;
  readonly signal: AbortSignal;
};

/**
 * Applies changes of the namespace to a running sandbox: removes links that are gone, adds new ones, then sends the guest all
 * addresses, routes and neighbours. Safe to repeat after a failure in between. Throws WRONG_STATE when the sandbox does not run
 * or the namespace was replaced by another, and NO_CAPACITY when a new link has no root port. Needs the lock.
 */
export async function rescanNamespace(
  node: NodeContext,
  entry: SandboxEntry,
  netns: NetnsRecord,
  signal: AbortSignal,
): Promise<void> {
  const { kind } = entry.record.phase;
  if (kind !== "ready" && kind !== "running")
    throw new PaddockError("WRONG_STATE", `sandbox ${entry.sandboxId} is ${kind}`, {
      hint: "a stopped sandbox reads its network namespace when it starts",
    });
  const change: Change = { node, entry, netns, signal };
  const { inode, network } = await node.namespaces.read(netns.name, signal);
  if (inode !== netns.inode)
    throw new PaddockError("WRONG_STATE", `the network namespace ${netns.name} was replaced by another`, {
      hint: "stop and start the sandbox",
    });
  const gone = netns.links.filter((link) => !network.links.some((each) => isSame(each, link)));
  const links = linksNow(netns, network, entry.record.network.slots ?? 0);
  for (const link of gone) await takeAway(change, link);
  for (const link of links) if (!netns.links.some((each) => isSame(each, link))) await plugIn(change, link);
  const { routes, neighbours } = network;
  const after = { ...entry.record.network, netns: { ...netns, links, routes, neighbours } };
  const client = await entry.agent.client({ signal, deadlineMs: GUEST_PATIENCE_MS });
  const kept = await foreignRoutes(client, [...netns.links, ...links], signal);
  await configureGuest(client, node, { ...entry.record, network: after }, { signal, kept });
  for (const link of links) await entry.vm?.machine.setLink(mirrorCard(link).id, true, signal);
  entry.update((record) => ({ ...record, network: after }));
}

/** Routes that programs in the guest created for interfaces of their own, such as tunnels. */
async function foreignRoutes(
  { network }: Pick<AgentClient, "network">,
  links: readonly MirroredLink[],
  signal: AbortSignal,
): Promise<readonly agentpb.Route[]> {
  const names = new Set(links.map(({ name }) => name));
  const { routes } = await network.listRoutes({}, { signal, timeoutMs: GUEST_PATIENCE_MS });
  return routes.filter((route) => !route.fromKernel && !names.has(route.interface));
}

const isSame = (a: Pick<MirroredLink, "index" | "mac">, b: Pick<MirroredLink, "index" | "mac">): boolean =>
  a.index === b.index && a.mac === b.mac;

/** A link that stays keeps its card. */
function linksNow(netns: NetnsRecord, { links }: NetnsNetwork, slots: number): readonly MirroredLink[] {
  const placed: MirroredLink[] = links.flatMap((link) => {
    const known = netns.links.find((each) => isSame(each, link));
    return known === undefined ? [] : [{ ...link, ...(known.port !== undefined && { port: known.port }) }];
  });
  for (const link of links.filter((each) => !placed.some((known) => isSame(each, known)))) {
    const port = freeSlot(
      slots,
      placed.map((each) => each.port),
    );
    if (port === undefined)
      throw new PaddockError("NO_CAPACITY", `the sandbox has no interface slot for the link ${link.name}`, {
        hint: "stop and start the sandbox, or create it with more interface_slots",
      });
    placed.push({ ...link, port });
  }
  return placed;
}

/** The card of the first link cannot be unplugged, so its link is set down. */
async function takeAway({ node, entry, netns, signal }: Change, link: MirroredLink): Promise<void> {
  const card = mirrorCard(link);
  await leaveGuest(entry, link.mac, signal);
  if (link.port === undefined) await entry.vm?.machine.setLink(card.id, false, signal);
  else await entry.vm?.machine.detach(card, signal);
  await node.namespaces.disconnect(netns, entry.record.vm.id, { only: link.index, signal });
}

async function plugIn({ node, entry, netns, signal }: Change, link: MirroredLink): Promise<void> {
  const { vm } = entry.record;
  const owner = { uid: node.vmUidBase + vm.slot, label: vm.id };
  const card = mirrorCard(link);
  await entry.vm?.machine.detach(card, signal);
  await node.namespaces.disconnect(netns, vm.id, { only: link.index, signal });
  await node.namespaces.connect(netns, [link], owner, signal);
  await entry.vm?.machine.attach(card, signal);
}
