/** The network of a sandbox in a stored record. */
import {
  type InterfaceRecord,
  type NetnsRecord,
  type NetworkRecord,
  NO_NETWORK,
  type PublishedPort,
  ROUTE_SCOPES,
  type RouteRecord,
} from "../record/network-record.ts";
import type { Fields } from "./fields.ts";

/** Decodes the network of a record. Rows of a daemon without networks lack it. */
export function parseNetwork(record: Fields): NetworkRecord {
  if (!record.has("network")) return NO_NETWORK;
  const fields = record.object("network");
  return {
    interfaces: fields.objects("interfaces").map(parseInterface),
    published: fields.objects("published").map(parsePublished),
    ...(fields.has("slots") && { slots: fields.integer("slots") }),
    ...(fields.has("routes") && { routes: fields.objects("routes").map(parseRoute) }),
    ...(fields.has("netns") && { netns: parseNetns(fields.object("netns")) }),
  };
}

export const parseInterface = (fields: Fields): InterfaceRecord => ({
  interfaceId: fields.string("interfaceId"),
  name: fields.string("name"),
  index: fields.integer("index"),
  mac: fields.string("mac"),
  ...(fields.has("added") && { added: parseAdded(fields.object("added")) }),
});

const parseAdded = (fields: Fields) => ({
  port: fields.integer("port"),
  requestId: fields.string("requestId"),
  ...(fields.has("mtu") && { mtu: fields.integer("mtu") }),
});

const parsePublished = (fields: Fields): PublishedPort => ({
  hostAddress: fields.string("hostAddress"),
  protocol: fields.oneOf("protocol", ["tcp", "udp"]),
  hostPort: fields.integer("hostPort"),
  guestPort: fields.integer("guestPort"),
});

const parseRoute = (fields: Fields): RouteRecord => ({
  destination: fields.string("destination"),
  gateway: fields.string("gateway"),
  interfaceId: fields.string("interfaceId"),
  source: fields.string("source"),
  metric: fields.integer("metric"),
  scope: fields.oneOf("scope", ROUTE_SCOPES),
  onlink: fields.boolean("onlink"),
});

const parseNetns = (fields: Fields): NetnsRecord => ({
  name: fields.string("name"),
  inode: fields.string("inode"),
  links: fields.objects("links").map((link) => ({
    name: link.string("name"),
    index: link.integer("index"),
    mac: link.string("mac"),
    mtu: link.integer("mtu"),
    addresses: link.strings("addresses"),
    ...(link.has("port") && { port: link.integer("port") }),
  })),
  routes: fields.objects("routes").map((route) => ({
    link: route.string("link"),
    destination: route.string("destination"),
    gateway: route.has("gateway") ? route.string("gateway") : undefined,
    source: route.has("source") ? route.string("source") : undefined,
    metric: route.integer("metric"),
    scope: route.oneOf("scope", ROUTE_SCOPES),
    onlink: route.boolean("onlink"),
  })),
  neighbours: fields.objects("neighbours").map((neighbour) => ({
    link: neighbour.string("link"),
    address: neighbour.string("address"),
    mac: neighbour.string("mac"),
  })),
});
