/** The network part of a spec, in terms of the host. Pure. */
import { PaddockError } from "@paddock/domain";
import { checkPolicy, type EgressPolicy, type EgressRule, NetworkError, parseCidr } from "@paddock/network";
import {
  EgressAction,
  EgressMode,
  NetworkMode,
  type NetworkPolicy,
  NetworkProtocol,
  type NetworkSpec,
  type PublishedPort as WirePort,
  type EgressRule as WireRule,
} from "@paddock/protocol";
import type { PublishedPort } from "../record/network-record.ts";

/**
 * Whether a sandbox of this spec is on the node's network. Throws INVALID_FIELD for a contradictory spec, and NOT_IMPLEMENTED
 * for one that needs a network on a node without one.
 */
export function wantsNetwork(network: NetworkSpec | undefined, hasNetwork: boolean): boolean {
  const { mode = NetworkMode.UNSPECIFIED } = network ?? {};
  if (network !== undefined) {
    egressPolicy(network.policy);
    if (network.namespace !== "" && mode !== NetworkMode.NAMESPACE)
      throw invalid("namespace", "needs NETWORK_MODE_NAMESPACE");
  }
  switch (mode) {
    case NetworkMode.NONE:
      if (network !== undefined && (asksForMore(network) || network.namespace !== ""))
        throw invalid("mode", "is none, so nothing else of the network may be set");
      return false;
    case NetworkMode.NAMESPACE:
      return false;
    case NetworkMode.UNSPECIFIED:
      if (hasNetwork) return true;
      if (network !== undefined && asksForMore(network)) throw noNetwork();
      return false;
    case NetworkMode.DEFAULT:
      if (!hasNetwork) throw noNetwork();
      return true;
    default:
      return mode satisfies never;
  }
}

/**
 * The name of the network namespace that the sandbox is to run in; undefined for a sandbox without one. Throws INVALID_FIELD
 * for a contradictory spec, and NOT_IMPLEMENTED on a node that does not allow it.
 */
export function callersNamespace(network: NetworkSpec | undefined, isAllowed: boolean): string | undefined {
  if (network?.mode !== NetworkMode.NAMESPACE) return undefined;
  if (network.namespace === "") throw invalid("namespace", "must name a network namespace of the node");
  const { policy, bandwidth, publishedPorts: ports, peers } = network;
  if (policy !== undefined || bandwidth !== undefined || ports.length > 0 || peers.length > 0)
    throw invalid("mode", "is a namespace, whose owner decides on policy, published ports, rates and peers");
  if (!isAllowed)
    throw new PaddockError("NOT_IMPLEMENTED", "the node does not let sandboxes use its network namespaces", {
      hint: "set PADDOCK_NETWORK_NAMESPACES=on on the node",
    });
  return network.namespace;
}

const asksForMore = (network: NetworkSpec): boolean =>
  network.policy !== undefined ||
  network.bandwidth !== undefined ||
  network.publishedPorts.length > 0 ||
  network.extraHosts.length > 0 ||
  network.peers.length > 0 ||
  network.interfaceSlots > 0;

/** Each port makes the boot longer. */
const DEFAULT_INTERFACE_SLOTS = 1;

/** The number of interfaces that can be added to a sandbox with a network. */
export const interfaceSlots = (network: NetworkSpec | undefined): number =>
  network?.interfaceSlots || DEFAULT_INTERFACE_SLOTS;

const noNetwork = (): PaddockError =>
  new PaddockError("NOT_IMPLEMENTED", "the sandbox cannot have a network: its node has none", {
    hint: "set PADDOCK_NETWORK=on on the node",
  });

const invalid = (field: string, description: string): PaddockError =>
  new PaddockError("INVALID_FIELD", `spec.network.${field}: ${description}`, {
    violations: [{ field: `spec.network.${field}`, description }],
  });

const OTHERWISE = {
  [EgressMode.UNSPECIFIED]: "public",
  [EgressMode.PUBLIC]: "public",
  [EgressMode.OPEN]: "open",
  [EgressMode.NONE]: "none",
} as const satisfies Record<EgressMode, string>;

/** Parses the policy of a message. Throws INVALID_FIELD. */
export function egressPolicy(policy: NetworkPolicy | undefined): EgressPolicy {
  const otherwise = OTHERWISE[policy?.otherwise ?? EgressMode.UNSPECIFIED];
  if (policy === undefined || policy.rules.length === 0) return { kind: otherwise };
  const rules = policy.rules.map(egressRule);
  return checked("policy.rules", () => {
    const whole = { kind: "rules", rules, otherwise } as const;
    checkPolicy(whole);
    return whole;
  });
}

const PROTOCOLS = {
  [NetworkProtocol.UNSPECIFIED]: "any",
  [NetworkProtocol.TCP]: "tcp",
  [NetworkProtocol.UDP]: "udp",
  [NetworkProtocol.ICMP]: "icmp",
} as const satisfies Record<NetworkProtocol, string>;

const egressRule = (
  { action, destination, protocol, firstPort, lastPort }: WireRule,
  at: number,
): EgressRule => ({
  action: action === EgressAction.ALLOW ? "allow" : "deny",
  to:
    destination === "" ? undefined : checked(`policy.rules[${at}].destination`, () => parseCidr(destination)),
  protocol: PROTOCOLS[protocol],
  ports: firstPort === 0 && lastPort === 0 ? undefined : { first: firstPort, last: lastPort || firstPort },
});

function checked<T>(field: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof NetworkError) throw invalid(field, error.message);
    throw error;
  }
}

/** Published ports, as requested. */
export const publishedPorts = (
  network: { readonly publishedPorts: readonly WirePort[] } | undefined,
): readonly PublishedPort[] =>
  (network?.publishedPorts ?? []).map(({ hostAddress, protocol, hostPort, guestPort }) => ({
    hostAddress,
    protocol: protocol === NetworkProtocol.UDP ? "udp" : "tcp",
    hostPort,
    guestPort,
  }));

/** The same, with the former number in place of a 0. */
export function changedPorts(
  asked: readonly WirePort[],
  before: readonly PublishedPort[],
): readonly PublishedPort[] {
  const free = [...before];
  return publishedPorts({ publishedPorts: asked }).map((port) => {
    if (port.hostPort !== 0) return port;
    const at = free.findIndex(
      ({ hostAddress, protocol, guestPort }) =>
        hostAddress === port.hostAddress && protocol === port.protocol && guestPort === port.guestPort,
    );
    const [known] = at < 0 ? [] : free.splice(at, 1);
    return known ?? port;
  });
}
