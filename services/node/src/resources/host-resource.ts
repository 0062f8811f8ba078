/**
 * A kind of resource that a sandbox and its VM take from the host.
 *
 * The list is `HOST_RESOURCES` in `host-resources.ts`. A bring-up acquires the resources in the order of the list. A failed
 * bring-up, a stop and a deletion release them in reverse order, and so does a starting daemon for interrupted operations. Its
 * sweep releases the strays. So a new resource is one file and one line of the list.
 */

import type { PeerPair } from "@paddock/network";
import type { HostDisk, HostDisks } from "../devices/host-disks.ts";
import type { CallerNamespaces } from "../network/caller-namespaces.ts";
import type { Connection, HostNetwork } from "../network/host-network.ts";
import type { HostPorts } from "../network/host-ports.ts";
import type { HostShare } from "../record/host-shares.ts";
import type { NetnsRecord } from "../record/network-record.ts";
import type { SandboxPaths } from "../record/sandbox-paths.ts";
import type { SandboxVolume } from "../record/volume-record.ts";
import type { ShareServers } from "../shares/share-servers.ts";
import type { Machine, MachineCgroups, MachineHost, MachineRequest } from "../vm/machine-port.ts";
import type { VmPaths } from "../vm/vm-paths.ts";
import type { Volumes } from "../volumes/volumes.ts";
import type { WritableLayers } from "./writable-layers.ts";

/** The parts of the daemon that resources use. */
export type ResourceHost = {
  readonly stateDir: string;
  readonly machines: MachineHost;
  readonly cgroups: MachineCgroups;
  readonly layers: Pick<WritableLayers, "create">;
  readonly volumes: Pick<Volumes, "link">;
  readonly disks: Pick<HostDisks, "acquire" | "releaseAll" | "owners">;
  /** Undefined: sandboxes of this node have no network. */
  readonly network:
    | Pick<HostNetwork, "connect" | "disconnect" | "owners" | "drop" | "join" | "part">
    | undefined;
  readonly ports: Pick<HostPorts, "release">;
  readonly namespaces: Pick<CallerNamespaces, "connect" | "disconnect" | "owners" | "prefix">;
  readonly shares: Pick<ShareServers, "start" | "end" | "running">;
};

/** The owner of resources. After a crash, a daemon knows only the paths. */
export type ResourceOwner = {
  readonly host: ResourceHost;
  readonly vm: VmPaths;
  /** Undefined for a VM without a sandbox. */
  readonly sandbox: SandboxPaths | undefined;
  /** The VM's process, if this daemon controls it. */
  machine?: Machine | undefined;
  /** Interfaces on the host's network. Undefined for a VM without a record. */
  readonly connections?: readonly Connection[] | undefined;
  /** The caller's network namespace that the VM is in. Undefined for a VM without a record. */
  readonly netns?: NetnsRecord | "none" | undefined;
  /** Directories of the host that the VM mounts. Undefined for a VM without a record. */
  readonly shares?: readonly HostShare[] | undefined;
  /** Consent of the sandbox and its peers to talk to each other. */
  readonly pairs?: readonly PeerPair[] | undefined;
};

/** An owner whose VM is about to start. */
export type ResourcePlan = ResourceOwner & {
  readonly sandboxId: string;
  /** User and group of the VM. */
  readonly uid: number;
  readonly layers: readonly { readonly index: number; readonly bytes: number }[];
  readonly volumes: readonly SandboxVolume[];
  /** Devices of the host. */
  readonly disks: readonly HostDisk[];
  /** Limit of the VM's process, in bytes, including the machine's overhead. */
  readonly memoryLimitBytes: number;
  readonly machineRequest: Omit<MachineRequest, "placement" | "paths" | "uid">;
};

/** Names that records own: ids of VMs, and names of sandboxes' directories. */
export type OwnedNames = ReadonlySet<string>;

export type HostResource = {
  /** Unique in the list. */
  readonly name: string;
  /** Whether a stopped sandbox keeps it, so that it can boot again. */
  readonly outlivesStop: boolean;
  /** Acquires it. Safe to repeat. */
  acquire(plan: ResourcePlan, signal: AbortSignal): Promise<void>;
  /** Releases it, whether it exists completely, partly or not at all. */
  release(owner: ResourceOwner, signal: AbortSignal): Promise<void>;
  /** Owners without a record that still have it. */
  listStrays(host: ResourceHost, owned: OwnedNames): Promise<readonly ResourceOwner[]>;
};
