/**
 * Names and addresses of a local fleet's network. Two nodes on one host share neither the bridge nor addresses, so a fleet beside the
 * one in the default state directory has its own, derived from its directory.
 */
import { createHash } from "node:crypto";
import { DEFAULT_STATE_DIR } from "./fleet-record.ts";

/** Two digits in base 16: the end of the bridge's name and a part of each range. */
const NUMBERS = 256;

const NAMES = ["PADDOCK_NETWORK_BRIDGE", "PADDOCK_NETWORK_IPV4", "PADDOCK_NETWORK_IPV6"] as const;

type Env = Readonly<Record<string, string | undefined>>;

export type FleetNetwork = { readonly [Name in (typeof NAMES)[number]]?: string };

/** Settings of the node's network. Empty for the default directory, and when the operator has set one of them. */
export function fleetNetwork(stateDir: string, env: Env): FleetNetwork {
  const isSet = NAMES.some((name) => env[name]);
  if (isSet || stateDir === DEFAULT_STATE_DIR) return {};
  const number = createHash("sha256").update(stateDir).digest().readUInt32BE() % NUMBERS;
  const digits = number.toString(16).padStart(2, "0");
  return {
    PADDOCK_NETWORK_BRIDGE: `paddock${digits}`,
    PADDOCK_NETWORK_IPV4: `10.214.${number}.0/24`,
    PADDOCK_NETWORK_IPV6: `fd5a:9c1d:7b3f:${digits}::/64`,
  };
}
