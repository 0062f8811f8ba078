/**
 * Settings of the node daemon, from environment variables, in two steps: `readEnv` takes the texts that are set, `parseConfig`
 * parses them.
 */
import { hostname } from "node:os";
import { resolve } from "node:path";
import { BUS_SETTINGS, parseBusSettings } from "@paddock/bus";
import { DEFAULT_VM_SIZE, MIB, parseNodeId } from "@paddock/domain";
import {
  absolutePath,
  ConfigError,
  decimal,
  type Form,
  integer,
  listOf,
  oneOf,
  PROCESS_SETTINGS,
  parseSettings,
  readSettingTexts,
  type Settings,
  type SettingTexts,
  type SettingValues,
  text,
  trueOrFalse,
} from "@paddock/lifecycle";
import { planNetwork } from "@paddock/network";
import {
  formatHostPort,
  type HostPort,
  hostPortForm,
  isLoopback,
  isWildcard,
  PEER_SETTINGS,
  type PeerFiles,
  parsePeerCredentials,
  peerFiles,
  peerPaths,
  readSmallFile,
} from "@paddock/rpc";
import { TELEMETRY_SETTINGS } from "@paddock/telemetry";
import type { NetworkConfig } from "./network/open-network.ts";

const nodeId: Form<string> = {
  form: "a node id: letters, digits, '.', '_', '-'",
  parse: (given) => parseNodeId(given),
};

const label = (item: string): [string, string] | undefined => {
  const [, key, value] = /^([a-zA-Z0-9][a-zA-Z0-9_./-]{0,127})=([^,]{0,256})$/.exec(item) ?? [];
  return key === undefined || value === undefined ? undefined : [key, value];
};

/** "/" would share the node's own state, too. */
const directories: Form<readonly string[]> = {
  form: 'a list of absolute paths other than "/", separated by colons',
  parse: (given) => {
    const paths = given.split(":").filter((path) => path !== "");
    const parsed = paths.map((path) => absolutePath.parse(path)?.replace(/(?<=.)\/$/, ""));
    return parsed.every((path) => path !== undefined && path !== "/")
      ? parsed.filter((path) => path !== undefined)
      : undefined;
  },
};

export const NODE_SETTINGS = {
  PADDOCK_NODE_ID: { ...nodeId, doc: "name of the node in the fleet", shownDefault: "the host's name" },
  PADDOCK_NODE_LABELS: {
    ...listOf("labels key=value", label),
    doc: "labels of the node: `zone=a,disk=ssd`",
    default: "",
  },
  PADDOCK_NODE_STREAM_ADDRESS: {
    ...hostPortForm,
    doc: "address on which the node listens for the api",
    default: "127.0.0.1:7071",
  },
  PADDOCK_NODE_STREAM_ADVERTISE_ADDRESS: {
    ...hostPortForm,
    doc: "address at which the api reaches the node",
    shownDefault: "where it listens",
  },
  PADDOCK_STATE_DIR: {
    ...absolutePath,
    doc: "images, sandboxes and the database; others need x on each directory above it",
    default: "/var/lib/paddock",
  },
  PADDOCK_HOST_DIRECTORIES: {
    ...directories,
    doc: "directories whose contents clients may mount, separated by colons",
    default: "",
    shownDefault: "none",
  },
  PADDOCK_GUEST_DIR: {
    ...absolutePath,
    doc: "directory of the guest's kernel and initramfs",
    default: resolve(import.meta.dirname, "../../../deploy/guest/out"),
    shownDefault: "deploy/guest/out",
  },
  PADDOCK_QEMU_BINARY: { ...text, doc: "QEMU to run VMs with", default: "qemu-system-x86_64" },
  PADDOCK_ACCELERATOR: {
    ...oneOf("auto", "kvm", "tcg"),
    doc: "auto, kvm, tcg",
    default: "auto",
  },
  PADDOCK_PRODUCTION: {
    ...trueOrFalse,
    doc: "true refuses emulation, which promises no isolation",
    default: "false",
  },
  PADDOCK_BOOT_TIMEOUT_MS: {
    ...integer(1000, 600_000),
    doc: "time a guest may take to boot",
    unit: "ms",
    default: "60000",
  },
  PADDOCK_VM_UID_BASE: {
    ...integer(1, 2 ** 31),
    doc: "user id of the first VM; each VM adds its slot",
    default: "700000",
  },
  PADDOCK_CPU_OVERCOMMIT: {
    ...decimal(1, 100),
    doc: "how many times each CPU may be promised",
    default: "4",
  },
  PADDOCK_DEFAULT_VCPUS: {
    ...integer(1, 240),
    doc: "vCPUs of a VM whose request does not say",
    default: String(DEFAULT_VM_SIZE.vcpus),
  },
  PADDOCK_MAX_VCPUS: {
    ...integer(0, 240),
    doc: "vCPUs that a VM may have; 0: CPUs of the host times the overcommit",
    default: "0",
  },
  PADDOCK_DEFAULT_MEMORY_BYTES: {
    ...integer(96 * MIB, 2 ** 43),
    doc: "memory of a VM whose request does not say",
    unit: "bytes",
    default: String(DEFAULT_VM_SIZE.memoryBytes),
  },
  PADDOCK_MEMORY_RESERVE_BYTES: {
    ...integer(0, 2 ** 43),
    doc: "memory of the host that is never promised",
    unit: "bytes",
    default: String(512 * MIB),
  },
  PADDOCK_DISK_FLOOR_BYTES: {
    ...integer(0, 2 ** 50),
    doc: "disk space that stays free",
    unit: "bytes",
    default: String(512 * MIB),
  },
  PADDOCK_VOLUME_QUOTA_BYTES: {
    ...integer(0, 2 ** 50),
    doc: "size of all volumes together; 0: that of their file system",
    unit: "bytes",
    default: "0",
  },
  PADDOCK_DISK_OVERCOMMIT: {
    ...decimal(1, 1000),
    doc: "how many times the file system of the state directory may be promised",
    default: "32",
  },
  PADDOCK_NETWORK: {
    ...oneOf("on", "off"),
    doc: "on gives each sandbox a network, off none",
    default: "on",
  },
  PADDOCK_NETWORK_BRIDGE: {
    ...text,
    doc: "name of the bridge and of the nftables tables; no two nodes share one",
    default: "paddock0",
  },
  PADDOCK_NETWORK_IPV4: {
    ...text,
    doc: "IPv4 addresses of the sandboxes, /16 to /29; no two nodes share one",
    default: "10.213.0.0/16",
  },
  PADDOCK_NETWORK_IPV6: {
    ...text,
    doc: "IPv6 addresses of the sandboxes, /48 to /112, or none",
    default: "fd5a:9c1d:7b3e::/64",
  },
  PADDOCK_NETWORK_NAMESPACES: {
    ...oneOf("on", "off"),
    doc: "on lets clients name a network namespace in /run/netns for a sandbox",
    default: "off",
  },
  PADDOCK_DEVICE_DIRECTORIES: {
    ...directories,
    doc: "directories of devices and image files that clients may attach, by colons",
    default: "",
    shownDefault: "none",
  },
  ...PEER_SETTINGS,
  ...BUS_SETTINGS,
  ...TELEMETRY_SETTINGS,
  ...PROCESS_SETTINGS,
} satisfies Settings;

type Texts = SettingTexts<typeof NODE_SETTINGS>;
type Values = SettingValues<typeof NODE_SETTINGS>;

/** The parsed settings. */
export type NodeConfig = Readonly<ReturnType<typeof parseConfig>>;

/** How the api reaches the streams of this node. */
export type StreamSettings = {
  readonly listen: HostPort;
  /** The address given to the api; undefined means `listen`. Port 0 stands for the assigned port. */
  readonly advertise: HostPort | undefined;
  /** Credentials by which the node and the api know each other. */
  readonly credentials: PeerFiles;
};

/** The settings that are set. Throws `ConfigError` for an unknown PADDOCK_ name. */
export const readEnv = (env: NodeJS.ProcessEnv): Texts => readSettingTexts(NODE_SETTINGS, env);

/** The settings with defaults. Throws `ConfigError` for values that are invalid or unsafe. */
export function parseConfig(texts: Texts) {
  const values = parseSettings(NODE_SETTINGS, texts);
  const id = values.PADDOCK_NODE_ID ?? hostNodeId();
  const nats = parseBusSettings(texts);
  return {
    nodeId: id,
    stateDir: values.PADDOCK_STATE_DIR,
    streams: streams(values, peerFiles(texts), id),
    hostDirectories: values.PADDOCK_HOST_DIRECTORIES,
    guestDir: values.PADDOCK_GUEST_DIR,
    qemuBinary: values.PADDOCK_QEMU_BINARY,
    accelerator: values.PADDOCK_ACCELERATOR,
    production: values.PADDOCK_PRODUCTION,
    vmUidBase: values.PADDOCK_VM_UID_BASE,
    cpuOvercommit: values.PADDOCK_CPU_OVERCOMMIT,
    defaultMemoryBytes: values.PADDOCK_DEFAULT_MEMORY_BYTES,
    defaultVcpus: values.PADDOCK_DEFAULT_VCPUS,
    maxVcpus: values.PADDOCK_MAX_VCPUS,
    memoryReserveBytes: values.PADDOCK_MEMORY_RESERVE_BYTES,
    diskFloorBytes: values.PADDOCK_DISK_FLOOR_BYTES,
    volumeQuotaBytes: values.PADDOCK_VOLUME_QUOTA_BYTES,
    diskOvercommit: values.PADDOCK_DISK_OVERCOMMIT,
    bootTimeoutMs: values.PADDOCK_BOOT_TIMEOUT_MS,
    labels: Object.fromEntries(values.PADDOCK_NODE_LABELS),
    /** Undefined: sandboxes have no network. */
    network: network(values),
    deviceDirectories: values.PADDOCK_DEVICE_DIRECTORIES,
    allowsNamespaces: values.PADDOCK_NETWORK_NAMESPACES === "on",
    natsUrl: nats.url,
    natsFiles: nats.files,
    logLevel: values.PADDOCK_LOG_LEVEL,
    otlpEndpoint: values.OTEL_EXPORTER_OTLP_ENDPOINT,
    readyFd: values.PADDOCK_READY_FD,
  };
}

/** The MTU is that of the host's default route, which is known later. */
function network(values: Values): NetworkConfig | undefined {
  if (values.PADDOCK_NETWORK === "off") return undefined;
  const v6 = values.PADDOCK_NETWORK_IPV6;
  const settings = {
    bridge: values.PADDOCK_NETWORK_BRIDGE,
    v4: values.PADDOCK_NETWORK_IPV4,
    v6: v6 === "none" ? undefined : v6,
  };
  try {
    planNetwork({ ...settings, mtu: 1500 });
  } catch (error) {
    throw new ConfigError(error instanceof Error ? error.message : String(error));
  }
  return settings;
}

/** The host's name, without the characters that an id may not have. */
function hostNodeId(): string {
  const fitted = hostname()
    .replace(/[^a-zA-Z0-9_.-]+/g, "-")
    .replace(/^[^a-zA-Z0-9]+/, "")
    .slice(0, 128);
  return fitted === "" ? "node" : fitted;
}

/**
 * An address that other hosts can reach needs certificates, and the api never gets a wildcard address. The files are read once
 * here, so that the daemon does not start with files it cannot use.
 */
function streams(values: Values, credentials: PeerFiles, id: string): StreamSettings {
  const listen = values.PADDOCK_NODE_STREAM_ADDRESS;
  const advertise = values.PADDOCK_NODE_STREAM_ADVERTISE_ADDRESS;
  requireUsableFiles(credentials, id);
  if (isWildcard((advertise ?? listen).host))
    throw new ConfigError(
      `PADDOCK_NODE_STREAM_ADVERTISE_ADDRESS must be an address at which the api reaches this node: ${formatHostPort(advertise ?? listen)} stands for all addresses of this host`,
    );
  const reached = [listen, ...(advertise === undefined ? [] : [advertise])].find(
    ({ host }) => !isLoopback(host),
  );
  if (reached !== undefined && credentials.kind === "secret")
    throw new ConfigError(
      `${formatHostPort(reached)} can be reached from other hosts, which needs certificates: set PADDOCK_STREAM_TLS_CERT_FILE, PADDOCK_STREAM_TLS_KEY_FILE and PADDOCK_STREAM_TLS_CA_FILE in place of PADDOCK_STREAM_SECRET_FILE, or PADDOCK_NODE_STREAM_ADDRESS to a loopback address`,
    );
  return { listen, advertise, credentials };
}

function requireUsableFiles(credentials: PeerFiles, id: string): void {
  try {
    parsePeerCredentials(peerPaths(credentials).map(readSmallFile), { kind: "node", nodeId: id });
  } catch (error) {
    throw new ConfigError(error instanceof Error ? error.message : String(error));
  }
}
