/** The interface of a request, checked without the guest. Pure. */
import { invalidField, PaddockError } from "@paddock/domain";
import {
  contains,
  formatAddress,
  gatewayOf,
  guestInterface,
  indexesOf,
  indexOfAddress,
  type Mac,
  macOf,
  NetworkError,
  type NodeNetwork,
  parseAddress,
  parseMac,
  requireAddress,
} from "@paddock/network";
import type { NetworkInterface } from "@paddock/protocol";
import { freePort, type InterfaceRecord, type NetworkRecord } from "../record/network-record.ts";

/** A requested interface. The node chooses undefined values. */
type DeclaredInterface = {
  readonly interfaceId: string;
  readonly name: string;
  readonly port: number;
  readonly mac: Mac | undefined;
  readonly index: number | undefined;
  readonly mtu: number | undefined;
};

/**
 * Throws INVALID_FIELD, INTERFACE_EXISTS for an id or a name that is in use in the sandbox, and TOO_MANY when the VM has no
 * free port.
 */
export function declareInterface(
  wanted: NetworkInterface,
  { interfaces, slots = 0 }: NetworkRecord,
  network: NodeNetwork,
): DeclaredInterface {
  const { interfaceId, macAddress } = wanted;
  if (wanted.network !== "")
    throw invalidField("interface.network", "must be empty: the node has its default network alone");
  if (interfaces.some((each) => each.interfaceId === interfaceId))
    throw new PaddockError("INTERFACE_EXISTS", `the sandbox has an interface ${interfaceId}`);
  const index = indexOf(wanted.addresses, network);
  const declared = {
    interfaceId,
    name: nameOf(wanted, interfaces),
    mac: macAddress === "" ? undefined : macFor(macAddress, network, index),
    index,
    mtu: mtuOf(wanted, network),
  };
  const port = freePort(slots, interfaces);
  if (port === undefined)
    throw new PaddockError(
      "TOO_MANY",
      `the VM has no place for another interface: it was made for ${slots}`,
      {
        hint: "remove an interface, or ask for more with network.interface_slots when the sandbox is created",
      },
    );
  return { ...declared, port };
}

/** The kernel names new cards ethN, so that a rename could fail; the other names are directories of its settings. */
const KERNEL_NAMES = /^(eth\d+|lo|all|default)$/;

function nameOf({ name }: NetworkInterface, interfaces: readonly InterfaceRecord[]): string {
  const taken = new Set(interfaces.map((each) => each.name));
  if (name === "") {
    let number = 1;
    while (taken.has(`net${number}`)) number++;
    return `net${number}`;
  }
  if (taken.has(name))
    throw new PaddockError("INTERFACE_EXISTS", `the sandbox has an interface with the name ${name}`);
  if (KERNEL_NAMES.test(name))
    throw invalidField("interface.name", "must not be ethN, lo, all or default, which are the kernel's");
  return name;
}

const LEAST_MTU = 576;
/** Below this, the kernel disables IPv6 on the interface. */
const LEAST_MTU_WITH_IPV6 = 1280;

function mtuOf({ mtu }: NetworkInterface, network: NodeNetwork): number | undefined {
  if (mtu === 0) return undefined;
  const least = network.v6 === undefined ? LEAST_MTU : LEAST_MTU_WITH_IPV6;
  if (mtu < least || mtu > network.mtu)
    throw invalidField("interface.mtu", `must be 0 or from ${least} to ${network.mtu} on this node`);
  return mtu;
}

/** The index in the node's ranges that all the addresses have; undefined without addresses. */
function indexOf(addresses: readonly string[], network: NodeNetwork): number | undefined {
  const indexes = addresses.map((text, at) => {
    const field = `interface.addresses[${at}]`;
    const [address = "", prefix] = text.split("/");
    const parsed = parseAddress(address);
    if (parsed === undefined || Number(prefix) !== (parsed.family === 4 ? 32 : 128))
      throw invalidField(field, "must be an address with the prefix /32 or /128: a guest has it alone");
    return checked(field, () => indexOfAddress(network, address));
  });
  const [first] = indexes;
  if (indexes.some((each) => each !== first))
    throw invalidField("interface.addresses", "must have the same place in the node's IPv4 and IPv6 range");
  const texts = new Set(addresses.map((each) => formatAddress(requireAddress(each.split("/")[0] ?? ""))));
  if (texts.size < addresses.length)
    throw invalidField("interface.addresses", "must not have an address twice");
  return first;
}

function macFor(text: string, network: NodeNetwork, index: number | undefined): Mac {
  const field = "interface.mac_address";
  const mac = checked(field, () => parseMac(text));
  const own = index === undefined ? undefined : guestInterface(network, index).mac;
  if (mac !== own && belongsToAddress(mac, network))
    throw invalidField(field, "must not be the MAC address that belongs to another address of the node");
  return mac;
}

/** Whether the node uses this MAC address for its gateway, or for the interface with some address. */
function belongsToAddress(mac: Mac, network: NodeNetwork): boolean {
  if (mac === gatewayOf(network).mac) return true;
  const value = BigInt(`0x${mac.split(":").slice(2).join("")}`);
  const address = { family: 4, value } as const;
  const { first, last } = indexesOf(network);
  const index = value - network.v4.network;
  return contains(network.v4, address) && index >= first && index <= last && macOf(address) === mac;
}

function checked<T>(field: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof NetworkError) throw invalidField(field, `is invalid: ${error.message}`);
    throw error;
  }
}
