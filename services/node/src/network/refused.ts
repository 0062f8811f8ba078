/** Refused packets of some interfaces. */
import {
  type Count,
  formatAddress,
  type GuestInterface,
  type HostReader,
  type NodeNetwork,
  type RefusedPacket,
} from "@paddock/network";

export type Refused = {
  /** The last packets, newest first. */
  readonly packets: readonly RefusedPacket[];
  readonly refused: number;
  /** Frames with a forged source. */
  readonly forged: number;
};

type Of = { readonly network: NodeNetwork; readonly guests: readonly GuestInterface[] };

/** Reads the last refused packets of these interfaces, and the counts. */
export async function readRefused(
  reader: HostReader,
  { network, guests }: Of,
  signal: AbortSignal,
): Promise<Refused> {
  const [packets, refused, forged] = await Promise.all([
    reader.refusedPackets(network, signal),
    reader.refused(network, signal),
    reader.spoofed(network, signal),
  ]);
  const addresses = new Set(
    guests.flatMap(({ v4, v6 }) => (v6 === undefined ? [v4] : [v4, v6])).map(formatAddress),
  );
  const sum = (counts: ReadonlyMap<string, Count>, keys: Iterable<string>) =>
    [...keys].reduce((total, key) => total + (counts.get(key)?.packets ?? 0), 0);
  return {
    packets: packets.filter(({ from }) => addresses.has(formatAddress(from))),
    refused: sum(refused, addresses),
    forged: sum(
      forged,
      guests.map(({ tap }) => tap),
    ),
  };
}
