/** The network card of an interface in its VM. Pure. */
import type { InterfaceRecord } from "../record/network-record.ts";
import type { MachineInterface } from "../vm/machine-port.ts";
import type { GuestCard } from "./guest-network.ts";

/** The first interface exists from the boot to the end, so its card needs no port. */
export const networkCard = (card: GuestCard): MachineInterface => ({
  kind: "interface",
  id: cardId(card),
  mac: card.mac,
  tap: card.at.tap,
  ...(card.added !== undefined && { port: card.added.port }),
});

/** The name of the card in its VM. */
export const cardId = ({ added }: Pick<InterfaceRecord, "added">): string =>
  added === undefined ? "net0" : `net${added.port + 1}`;
