export { type Address, formatAddress, parseAddress, requireAddress, sameAddress } from "./address.ts";
export { MAX_BYTES_PER_SECOND, MIN_BYTES_PER_SECOND, receiveRateLines } from "./bandwidth.ts";
export { type Cidr, contains, formatCidr, overlap, parseCidr } from "./cidr.ts";
export { checkPolicy, type EgressPolicy, type EgressRule, MAX_EGRESS_RULES } from "./egress-policy.ts";
export { type ForeignRule, foreignRules } from "./foreign-rules.ts";
export {
  closedRules,
  type ForwardingPlan,
  type ForwardingState,
  forwardingKeys,
  planForwarding,
} from "./forwarding.ts";
export { type Count, type FoundTap, HostReader, type RefusedPacket, type WayOut } from "./host-reader.ts";
export { HostWriter } from "./host-writer.ts";
export { type InterfaceCounters, parseInterfaceCounters } from "./interface-counters.ts";
export { LeasePool } from "./lease-pool.ts";
export {
  bridgeAdded,
  bridgeLines,
  bridgeRemoved,
  bridgeSysctls,
  fdbLines,
  neighboursAdded,
  neighboursRemoved,
  type Sysctl,
  type TapOwner,
  tapLines,
  tapRemoved,
} from "./link-plan.ts";
export { linkLocalOf, type Mac, macOf, parseMac } from "./mac.ts";
export { linkOfMirror, mirrorLines, mirrorQueues, mirrorQueuesRemoved, mirrorTap } from "./mirror-plan.ts";
export {
  NETNS_BOUNDS,
  type NetnsLink,
  type NetnsNeighbour,
  type NetnsNetwork,
  type NetnsRoute,
} from "./netns-links.ts";
export { NetworkError, type NetworkErrorKind } from "./network-error.ts";
export {
  type GuestInterface,
  gatewayOf,
  guestInterface,
  indexesOf,
  indexOfAddress,
  indexOfTap,
  type NetworkSettings,
  type NodeNetwork,
  planNetwork,
} from "./node-network.ts";
export {
  addInterface,
  changeInterface,
  type InterfaceRules,
  type PeerPair,
  type Publication,
  peersAdded,
  peersRemoved,
  removeInterface,
  removeRuleset,
  ruleset,
} from "./ruleset.ts";
export {
  type Command,
  commandRunner,
  type Program,
  type RunCommand,
  type RunnerOptions,
} from "./run-command.ts";
