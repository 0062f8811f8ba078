/** Sandboxes of a node that may talk to each other: two that name each other. Pure. */
import { type Address, guestInterface, type NodeNetwork, type PeerPair } from "@paddock/network";
import type { SandboxRecord } from "../record/sandbox-record.ts";

type Party = Pick<SandboxRecord, "sandboxId" | "spec" | "network">;

/** The peers of a sandbox that also name it, and have an interface. */
export const mutualPeers = (party: Party, find: (sandboxId: string) => Party | undefined): readonly Party[] =>
  (party.spec.network?.peers ?? [])
    .filter((id) => id !== party.sandboxId)
    .map(find)
    .filter((peer) => peer !== undefined)
    .filter(({ spec }) => spec.network?.peers.includes(party.sandboxId) ?? false);

/** The addresses of the first interface. */
export function firstAddresses({ network }: Pick<Party, "network">, node: NodeNetwork): readonly Address[] {
  const [first] = network.interfaces;
  if (first === undefined) return [];
  const { v4, v6 } = guestInterface(node, first.index);
  return v6 === undefined ? [v4] : [v4, v6];
}

/** The consent of a sandbox and its peers, in both directions. */
export const pairsOf = (party: Party, peers: readonly Party[], node: NodeNetwork): readonly PeerPair[] =>
  firstAddresses(party, node).flatMap((own) =>
    peers
      .flatMap((peer) => firstAddresses(peer, node))
      .filter(({ family }) => family === own.family)
      .flatMap((other) => [
        { from: own, to: other },
        { from: other, to: own },
      ]),
  );
