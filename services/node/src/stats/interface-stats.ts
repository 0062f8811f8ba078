import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { guestInterface, type InterfaceCounters, type NodeNetwork } from "@paddock/network";
import {
  type ContainerStats,
  InterfaceCountersSchema,
  type InterfaceStats,
  InterfaceStatsSchema,
  type NetworkStats,
} from "@paddock/protocol";
import type { SandboxRecord } from "../record/sandbox-record.ts";

/** The host's interfaces and their counters. */
export type InterfaceReader = {
  readonly network: NodeNetwork;
  counters(): Promise<ReadonlyMap<string, InterfaceCounters>>;
};

/** The figures of each interface: the host's, and the guest's if one of its containers was read. */
export async function interfaceStats(
  { network }: Pick<SandboxRecord, "network">,
  reader: InterfaceReader | undefined,
  containers: readonly Pick<ContainerStats, "network">[],
): Promise<InterfaceStats[]> {
  if (reader === undefined || network.interfaces.length === 0) return [];
  const counters = await reader.counters();
  // All containers share the guest's interfaces.
  const inGuest = containers[0]?.network ?? [];
  return network.interfaces.map(({ interfaceId, name, index }) => {
    const host = counters.get(guestInterface(reader.network, index).tap);
    const guest = inGuest.find((each) => each.name === name);
    return create(InterfaceStatsSchema, {
      interfaceId,
      ...(host && { host: ofTap(host) }),
      ...(guest && { guest: ofGuest(guest) }),
    });
  });
}

type Shown = MessageInitShape<typeof InterfaceCountersSchema>;

/** A tap receives the bytes that the guest sends. */
const ofTap = (tap: InterfaceCounters): Shown =>
  create(InterfaceCountersSchema, {
    sentBytes: tap.rxBytes,
    sentPackets: tap.rxPackets,
    sentErrors: tap.rxErrors,
    sentDropped: tap.rxDropped,
    receivedBytes: tap.txBytes,
    receivedPackets: tap.txPackets,
    receivedErrors: tap.txErrors,
    receivedDropped: tap.txDropped,
  });

const ofGuest = (guest: NetworkStats): Shown =>
  create(InterfaceCountersSchema, {
    sentBytes: guest.txBytes,
    sentPackets: guest.txPackets,
    sentErrors: guest.txErrors,
    sentDropped: guest.txDropped,
    receivedBytes: guest.rxBytes,
    receivedPackets: guest.rxPackets,
    receivedErrors: guest.rxErrors,
    receivedDropped: guest.rxDropped,
  });
