/** The network of a sandbox in a caller's namespace, as configured in its guest and its VM. Pure. */
import { create } from "@bufbuild/protobuf";
import { mirrorTap, type NetnsNetwork } from "@paddock/network";
import { agentpb } from "@paddock/protocol";
import type { MirroredLink, NetnsRecord, RouteRecord } from "../record/network-record.ts";
import type { MachineInterface } from "../vm/machine-port.ts";

const SCOPES = {
  global: agentpb.RouteScope.GLOBAL,
  link: agentpb.RouteScope.LINK,
  host: agentpb.RouteScope.HOST,
} as const;

/** Interfaces, routes and neighbours, with the names of the links. */
export const netnsConfig = ({ links, routes, neighbours }: NetnsRecord): agentpb.NetworkConfig =>
  create(agentpb.NetworkConfigSchema, {
    interfaces: links.map(({ name, mac, mtu, addresses }) => ({
      permanentMac: mac,
      name,
      mac,
      mtu,
      addresses: [...addresses],
    })),
    routes: routes.map(({ link, destination, gateway = "", source = "", metric, scope, onlink }) => ({
      ...{ destination, interface: link, gateway, source, metric, onlink },
      scope: SCOPES[scope],
    })),
    neighbours: neighbours.map(({ link, address, mac }) => ({ interface: link, address, mac })),
  });

/** The routes of a namespace, by the names of its links. */
export const netnsRoutes = ({ routes }: NetnsRecord): readonly RouteRecord[] =>
  routes.map(({ link, gateway = "", source = "", ...route }) => ({
    ...route,
    interfaceId: link,
    gateway,
    source,
  }));

/** The card of a link. The first card needs no port: it exists from the boot to the end. */
export const mirrorCard = (link: MirroredLink): MachineInterface => ({
  kind: "interface",
  id: `netns${link.index}`,
  mac: link.mac,
  tap: mirrorTap(link),
  ...(link.port !== undefined && { port: link.port }),
});

/**
 * The links in the order of their cards: "eth0", "eth1" and so on first, as the guest's kernel names cards, so that no card
 * needs a name that another card still has.
 */
export function placedLinks({ links }: Pick<NetnsNetwork, "links">): readonly MirroredLink[] {
  const number = ({ name }: { readonly name: string }) =>
    /^eth[0-9]{1,4}$/.test(name) ? Number(name.slice(3)) : Number.POSITIVE_INFINITY;
  return links
    .toSorted((a, b) => (number(a) === number(b) ? a.index - b.index : number(a) - number(b)))
    .map((link, at) => (at === 0 ? link : { ...link, port: at - 1 }));
}
