/** The network card of an interface in its VM. Pure. */
import type { InterfaceRecord } from "../record/network-record.ts";
import type { MachineInterface } from "../vm/machine-port.ts";
import type { GuestCard } from "./guest-network.ts";

/** The first interface is there from the boot to the end, so its card needs no port. */
export const networkCard = (card: GuestCard): MachineInterface => ({
  kind: "interface",
  id: cardId(card),
  mac: card.mac,
  tap: card.at.tap,
  ...(card.added !== undefined && { port: card.added.port }),
});

/** Names the card in its VM. */
export const cardId = ({ added }: Pick<InterfaceRecord, "added">): string =>
  added === undefined ? "net0" : `net${added.port + 1}`;
