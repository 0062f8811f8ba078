import { callerNamespace } from "./caller-namespace.ts";
import { cgroup } from "./cgroup.ts";
import { hostDisks } from "./host-disks.ts";
import type { HostResource } from "./host-resource.ts";
import { hostShares } from "./host-shares.ts";
import { layers } from "./layers.ts";
import { network } from "./network.ts";
import { peers } from "./peers.ts";
import { process } from "./process.ts";
import { publishedPorts } from "./published-ports.ts";
import { sandboxDirectory } from "./sandbox-directory.ts";
import { vmDirectory } from "./vm-directory.ts";
import { volumeLinks } from "./volume-links.ts";

/** Everything that a sandbox takes from its host, in order of acquisition. */
export const HOST_RESOURCES: readonly HostResource[] = [
  sandboxDirectory,
  vmDirectory,
  layers,
  volumeLinks,
  hostDisks,
  cgroup,
  publishedPorts,
  network,
  peers,
  callerNamespace,
  hostShares,
  process,
];
