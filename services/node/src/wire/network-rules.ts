/** The rules of a sandbox's interfaces, from its record. Pure. */
import {
  type Address,
  type GuestInterface,
  guestInterface,
  type InterfaceRules,
  type NodeNetwork,
  type Publication,
  parseAddress,
  parseMac,
} from "@paddock/network";
import type { PublishedPort } from "../record/network-record.ts";
import { interfacesOnHost } from "../record/sandbox-interfaces.ts";
import type { SandboxRecord } from "../record/sandbox-record.ts";
import { egressPolicy } from "./network-spec.ts";

/** The host's side of an interface. */
export type InterfacePlan = {
  readonly rules: InterfaceRules;
  readonly receiveBytesPerSecond: number | undefined;
};

/**
 * The plan of each interface that the host may have resources for. `nameservers` are the host's, for a sandbox that names none;
 * `peers` are the addresses of the peers that it may talk to.
 */
export function interfacePlans(
  record: Pick<SandboxRecord, "network" | "spec"> & Partial<Pick<SandboxRecord, "operations">>,
  node: NodeNetwork,
  nameservers: readonly string[],
  peers: readonly Address[] = [],
): readonly InterfacePlan[] {
  const { network, spec } = record;
  const { sendBytesPerSecond = 0n, receiveBytesPerSecond = 0n } = spec.network?.bandwidth ?? {};
  const dns = dnsServers(spec, nameservers)
    .map(parseAddress)
    .filter((address) => address !== undefined);
  return interfacesOnHost(record).map(({ index, mac, added }) => {
    const guest = guestInterface(node, index, parseMac(mac));
    return {
      rules: {
        guest,
        policy: egressPolicy(spec.network?.policy),
        dns,
        // Published ports lead to the first interface.
        published: added === undefined ? network.published.flatMap((port) => publications(port, guest)) : [],
        peers: added === undefined ? peers : [],
        sendBytesPerSecond: Number(sendBytesPerSecond) || undefined,
      },
      receiveBytesPerSecond: Number(receiveBytesPerSecond) || undefined,
    };
  });
}

/** The name servers of a sandbox's containers. */
export const dnsServers = (
  { dns }: Pick<SandboxRecord["spec"], "dns">,
  nameservers: readonly string[],
): readonly string[] => (dns === undefined || dns.nameservers.length === 0 ? nameservers : dns.nameservers);

function publications(port: PublishedPort, guest: GuestInterface): readonly Publication[] {
  const { hostAddress, protocol, hostPort, guestPort } = port;
  const address = hostAddress === "" ? undefined : parseAddress(hostAddress);
  const families: readonly Address[] = [guest.v4, ...(guest.v6 === undefined ? [] : [guest.v6])];
  return families
    .filter(({ family }) => address === undefined || family === address.family)
    .map(({ family }) => ({ family, hostAddress: address, protocol, hostPort, guestPort }));
}
