import type { Amount, VmSizeDefaults } from "@paddock/domain";
import type { ImageStore } from "@paddock/images";
import type { KeyedLock } from "@paddock/lifecycle";
import type { Isolation } from "@paddock/protocol";
import type { AgentLink } from "./agent/agent-link.ts";
import type { HostDisks } from "./devices/host-disks.ts";
import type { LogBook } from "./logs/log-book.ts";
import type { CallerNamespaces } from "./network/caller-namespaces.ts";
import type { HostNetwork } from "./network/host-network.ts";
import type { HostPorts } from "./network/host-ports.ts";
import type { NodeLog } from "./node-log.ts";
import type { HostResource } from "./resources/host-resource.ts";
import type { WritableLayers } from "./resources/writable-layers.ts";
import type { SandboxRegistry } from "./sandboxes/sandbox-registry.ts";
import type { ShareServers } from "./shares/share-servers.ts";
import type { NodeStore } from "./store/node-store.ts";
import type { Machine, MachineCgroups, MachineHost } from "./vm/machine-port.ts";
import type { Volumes } from "./volumes/volumes.ts";

/** The parts of the host's network that sandboxes need. */
export type NetworkOfHost = Pick<
  HostNetwork,
  | "network"
  | "resolver"
  | "restore"
  | "connect"
  | "change"
  | "disconnect"
  | "join"
  | "part"
  | "owners"
  | "drop"
  | "refused"
  | "counters"
>;

/** Everything that handlers and operations work with. */
export type NodeContext = {
  readonly nodeId: string;
  readonly stateDir: string;
  readonly bootId: string;
  readonly isolation: Isolation;
  readonly vmUidBase: number;
  readonly sizeDefaults: VmSizeDefaults;
  /** Memory that a VM's process may use beyond the guest's memory, added to the limit of its cgroup, in bytes. */
  readonly vmOverheadBytes: number;
  readonly capacity: Amount;
  /** CPUs of the host, as a list such as "0-3". */
  readonly hostCpus: string;
  readonly diskFloorBytes: number;
  readonly bootTimeoutMs: number;
  readonly store: NodeStore;
  readonly sandboxes: SandboxRegistry;
  readonly lock: KeyedLock<string>;
  readonly machines: MachineHost;
  readonly cgroups: MachineCgroups;
  readonly images: Pick<ImageStore, "find" | "get" | "list" | "remove" | "blobPath">;
  readonly layers: Pick<WritableLayers, "create">;
  readonly volumes: Volumes;
  /** Held by a call that creates, resizes or deletes the volume of a name. */
  readonly volumeLock: KeyedLock<string>;
  readonly disks: Pick<HostDisks, "inspect" | "acquire" | "release" | "releaseAll" | "owners">;
  readonly logs: Pick<LogBook, "follow" | "stop" | "remove">;
  /** Undefined: sandboxes of this node have no network. */
  readonly network: NetworkOfHost | undefined;
  readonly ports: Pick<HostPorts, "reserve" | "change" | "release">;
  readonly namespaces: Pick<CallerNamespaces, "read" | "connect" | "disconnect" | "owners" | "prefix">;
  /** Whether a client may name a network namespace of this host for its sandbox. */
  readonly allowsNamespaces: boolean;
  readonly shares: Pick<ShareServers, "check" | "start" | "end" | "running" | "problem" | "ended">;
  /** All resources taken from the host, in order of acquisition. */
  readonly resources: readonly HostResource[];
  readonly log: NodeLog;
  readonly nowMs: () => number;
  readonly newId: () => string;
  /** Opens the link to the agent behind a socket. */
  readonly openLink: (socketPath: string, machine: Pick<Machine, "identity">) => AgentLink;
  /** Free bytes of the state directory's file system. */
  readonly freeDiskBytes: () => Promise<number>;
  /** Called after each change of a record; must not throw. */
  readonly onChange: () => void;
};
