/** A sandbox with a network for tests, and an api that answers all calls about it. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { FakeApi } from "@paddock/client/testing";
import { PaddockError } from "@paddock/domain";
import {
  type AddInterfaceRequest,
  EgressAction,
  EgressMode,
  NetworkProtocol,
  type NetworkStatus,
  type NetworkStatusSchema,
  type RemoveInterfaceRequest,
  RouteScope,
  SandboxService,
  type UpdateNetworkRequest,
  type UpdateRoutesRequest,
} from "@paddock/protocol";
import { fakeSandbox, serveSandboxes } from "./fake-sandbox.ts";

type NetworkInit = Exclude<MessageInitShape<typeof NetworkStatusSchema>, NetworkStatus>;

const FIRST = {
  interfaceId: "eth0",
  name: "eth0",
  macAddress: "02:50:0a:d5:00:02",
  mtu: 1400,
  addresses: ["10.213.0.2/32", "fd5a:9c1d:7b3e::2/128"],
};

const NETWORK: NetworkInit = {
  interfaces: [FIRST],
  publishedPorts: [
    { hostPort: 8080, guestPort: 80, protocol: NetworkProtocol.TCP },
    { hostAddress: "127.0.0.1", hostPort: 5353, guestPort: 53, protocol: NetworkProtocol.UDP },
  ],
  policy: {
    otherwise: EgressMode.NONE,
    rules: [
      {
        action: EgressAction.ALLOW,
        destination: "10.0.0.0/8",
        protocol: NetworkProtocol.TCP,
        firstPort: 443,
      },
    ],
  },
  bandwidth: { sendBytesPerSecond: 1024n * 1024n },
  dnsServers: ["192.0.2.53"],
};

/** What was asked of the network, each kind in order. */
export type NetworkAsked = {
  readonly updates: UpdateNetworkRequest[];
  readonly added: AddInterfaceRequest[];
  readonly removed: RemoveInterfaceRequest[];
  readonly routes: UpdateRoutesRequest[];
};

/** Serves "web", with the network above and an interface "lan0" that its guest calls "net1", and "alone", which has no network. */
export function serveNetwork(api: FakeApi): NetworkAsked {
  const asked: NetworkAsked = { updates: [], added: [], removed: [], routes: [] };
  const second = { ...FIRST, interfaceId: "lan0", name: "net1", addresses: ["10.214.0.2/32"] };
  const network = { ...NETWORK, interfaces: [FIRST, second] };
  serveSandboxes(api, [fakeSandbox("web", ["main"], network), fakeSandbox("alone")]);
  const { method } = SandboxService;
  api.unary(method.updateNetwork, (request) => {
    asked.updates.push(request);
    const { policy, bandwidth, publishedPorts } = request;
    return {
      network: {
        ...network,
        ...(policy && { policy }),
        ...(bandwidth && { bandwidth }),
        ...(publishedPorts && { publishedPorts: publishedPorts.ports }),
      },
    };
  });
  api.unary(method.listRefusedPackets, () => ({
    packets: [
      {
        time: { seconds: 1_769_860_800n },
        source: "10.213.0.2",
        destination: "192.168.0.1",
        protocol: "tcp",
        port: 22,
        packets: 3n,
      },
      { time: { seconds: 1_769_860_790n }, source: "10.213.0.2", destination: "\x1b[2J", packets: 1n },
    ],
    refusedPackets: 12n,
    forgedPackets: 2n,
  }));
  api.unary(method.listInterfaces, () => ({
    interfaces: [FIRST, second],
    drift: [{ subject: "interface net1", declared: "net1 mtu 1400", reported: "" }],
  }));
  api.unary(method.addInterface, (request) => {
    asked.added.push(request);
    const { interfaceId = "", name = "" } = request.interface ?? {};
    return { interface: { ...FIRST, interfaceId, name: name || "net2" } };
  });
  api.unary(method.removeInterface, (request) => {
    asked.removed.push(request);
    return {};
  });
  const routes = [
    { destination: "0.0.0.0/0", gateway: "10.213.0.1", interfaceId: "eth0", metric: 100 },
    { destination: "10.213.0.0/16", interfaceId: "eth0", source: "10.213.0.2", scope: RouteScope.LINK },
    { destination: "::/0", gateway: "fe80::1", interfaceId: "eth0", onlink: true },
  ];
  const drift = [{ subject: "route ::/0 metric 0", declared: "", reported: "via fe80::2\x07" }];
  api.unary(method.listRoutes, () => ({ routes, drift }));
  api.unary(method.updateRoutes, (request) => {
    asked.routes.push(request);
    if (request.routes.some(({ gateway }) => gateway === "192.0.2.1"))
      throw new PaddockError("INVALID_FIELD", "the gateway 192.0.2.1 is not on a link");
    return { routes: request.routes };
  });
  return asked;
}
