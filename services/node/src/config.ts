/**
 * What an operator may set, all by environment: `readEnv` knows the names, `parseConfig` the meaning. A name that is not
 * known or a value that is not understood refuses to start: a misspelt setting must not become a default.
 */
import { hostname } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { BUS_SETTINGS, type BusSettings, parseBusSettings } from "@paddock/bus";
import { MIB, parseNodeId } from "@paddock/domain";
import {
  formatHostPort,
  type HostPort,
  isLoopback,
  isWildcard,
  type PeerFiles,
  parseHostPort,
  parsePeerCredentials,
  peerFiles,
  peerPaths,
  readSmallFile,
} from "@paddock/rpc";
import { LOG_LEVELS, type LogLevelName } from "@paddock/telemetry";

const NAMES = {
  PADDOCK_NODE_ID: "",
  PADDOCK_STATE_DIR: "/var/lib/paddock",
  PADDOCK_NODE_STREAM_ADDRESS: "127.0.0.1:7071",
  PADDOCK_NODE_STREAM_ADVERTISE_ADDRESS: "",
  PADDOCK_STREAM_TLS_CERT_FILE: "",
  PADDOCK_STREAM_TLS_KEY_FILE: "",
  PADDOCK_STREAM_TLS_CA_FILE: "",
  PADDOCK_STREAM_SECRET_FILE: "",
  PADDOCK_GUEST_DIR: resolve(import.meta.dirname, "../../../deploy/guest/out"),
  PADDOCK_QEMU_BINARY: "qemu-system-x86_64",
  PADDOCK_ACCELERATOR: "auto",
  PADDOCK_PRODUCTION: "false",
  PADDOCK_VM_UID_BASE: "700000",
  PADDOCK_CPU_OVERCOMMIT: "4",
  PADDOCK_DEFAULT_MEMORY_BYTES: String(256 * MIB),
  PADDOCK_DEFAULT_VCPUS: "1",
  PADDOCK_MAX_VCPUS: "0",
  PADDOCK_MEMORY_RESERVE_BYTES: String(512 * MIB),
  PADDOCK_DISK_FLOOR_BYTES: String(512 * MIB),
  PADDOCK_BOOT_TIMEOUT_MS: "60000",
  PADDOCK_NODE_LABELS: "",
  ...BUS_SETTINGS,
  PADDOCK_LOG_LEVEL: "info",
  PADDOCK_READY_FD: "",
  OTEL_EXPORTER_OTLP_ENDPOINT: "",
} as const;

type Name = keyof typeof NAMES;
export type RawConfig = Readonly<Record<Name, string>>;

export type NodeConfig = {
  readonly nodeId: string;
  readonly stateDir: string;
  readonly streams: StreamSettings;
  readonly guestDir: string;
  readonly qemuBinary: string;
  readonly accelerator: "auto" | "kvm" | "tcg";
  /** Refuse emulation, which promises no isolation. */
  readonly production: boolean;
  /** A VM's user and group id is this plus its slot. */
  readonly vmUidBase: number;
  /** How many times each CPU may be promised. */
  readonly cpuOvercommit: number;
  readonly defaultMemoryBytes: number;
  readonly defaultVcpus: number;
  /** vCPUs a VM may have at most; 0 means the host's CPUs times the overcommit. */
  readonly maxVcpus: number;
  /** Memory of the host that is never promised. */
  readonly memoryReserveBytes: number;
  /** Disk space that stays free. */
  readonly diskFloorBytes: number;
  /** Patience with a guest that boots. */
  readonly bootTimeoutMs: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly natsUrl: string;
  readonly natsFiles: BusSettings["files"];
  readonly logLevel: LogLevelName;
  readonly readyFd: number | undefined;
  /** Where traces go; undefined: nowhere. */
  readonly otlpEndpoint: string | undefined;
};

/** How the api reaches the streams of this node. */
export type StreamSettings = {
  readonly listen: HostPort;
  /** What the api is told; undefined: where it listens. Port 0 stands for the port that is got. */
  readonly advertise: HostPort | undefined;
  /** What node and api prove to each other who they are by. */
  readonly credentials: PeerFiles;
};

/** Picks this daemon's settings. Throws on a PADDOCK_ name it does not know. */
export function readEnv(env: NodeJS.ProcessEnv): RawConfig {
  const unknown = Object.keys(env).filter(
    (name) => name.startsWith("PADDOCK_") && !Object.hasOwn(NAMES, name),
  );
  if (unknown.length > 0)
    throw new Error(`unknown setting ${unknown.join(", ")}; known are ${Object.keys(NAMES).join(", ")}`);
  const value = (name: Name) => env[name] ?? NAMES[name];
  return {
    PADDOCK_NODE_ID: value("PADDOCK_NODE_ID"),
    PADDOCK_STATE_DIR: value("PADDOCK_STATE_DIR"),
    PADDOCK_NODE_STREAM_ADDRESS: value("PADDOCK_NODE_STREAM_ADDRESS"),
    PADDOCK_NODE_STREAM_ADVERTISE_ADDRESS: value("PADDOCK_NODE_STREAM_ADVERTISE_ADDRESS"),
    PADDOCK_STREAM_TLS_CERT_FILE: value("PADDOCK_STREAM_TLS_CERT_FILE"),
    PADDOCK_STREAM_TLS_KEY_FILE: value("PADDOCK_STREAM_TLS_KEY_FILE"),
    PADDOCK_STREAM_TLS_CA_FILE: value("PADDOCK_STREAM_TLS_CA_FILE"),
    PADDOCK_STREAM_SECRET_FILE: value("PADDOCK_STREAM_SECRET_FILE"),
    PADDOCK_GUEST_DIR: value("PADDOCK_GUEST_DIR"),
    PADDOCK_QEMU_BINARY: value("PADDOCK_QEMU_BINARY"),
    PADDOCK_ACCELERATOR: value("PADDOCK_ACCELERATOR"),
    PADDOCK_PRODUCTION: value("PADDOCK_PRODUCTION"),
    PADDOCK_VM_UID_BASE: value("PADDOCK_VM_UID_BASE"),
    PADDOCK_CPU_OVERCOMMIT: value("PADDOCK_CPU_OVERCOMMIT"),
    PADDOCK_DEFAULT_MEMORY_BYTES: value("PADDOCK_DEFAULT_MEMORY_BYTES"),
    PADDOCK_DEFAULT_VCPUS: value("PADDOCK_DEFAULT_VCPUS"),
    PADDOCK_MAX_VCPUS: value("PADDOCK_MAX_VCPUS"),
    PADDOCK_MEMORY_RESERVE_BYTES: value("PADDOCK_MEMORY_RESERVE_BYTES"),
    PADDOCK_DISK_FLOOR_BYTES: value("PADDOCK_DISK_FLOOR_BYTES"),
    PADDOCK_BOOT_TIMEOUT_MS: value("PADDOCK_BOOT_TIMEOUT_MS"),
    PADDOCK_NODE_LABELS: value("PADDOCK_NODE_LABELS"),
    PADDOCK_NATS_URL: value("PADDOCK_NATS_URL"),
    PADDOCK_NATS_CA_FILE: value("PADDOCK_NATS_CA_FILE"),
    PADDOCK_NATS_CERT_FILE: value("PADDOCK_NATS_CERT_FILE"),
    PADDOCK_NATS_KEY_FILE: value("PADDOCK_NATS_KEY_FILE"),
    PADDOCK_NATS_NKEY_FILE: value("PADDOCK_NATS_NKEY_FILE"),
    PADDOCK_NATS_CREDS_FILE: value("PADDOCK_NATS_CREDS_FILE"),
    PADDOCK_LOG_LEVEL: value("PADDOCK_LOG_LEVEL"),
    PADDOCK_READY_FD: value("PADDOCK_READY_FD"),
    OTEL_EXPORTER_OTLP_ENDPOINT: value("OTEL_EXPORTER_OTLP_ENDPOINT"),
  };
}

/** Understands the settings. Throws an Error that names the setting. */
export function parseConfig(raw: RawConfig): NodeConfig {
  const readyFd = raw.PADDOCK_READY_FD;
  const id = nodeId(raw.PADDOCK_NODE_ID);
  const nats = parseBusSettings(raw);
  return {
    nodeId: id,
    stateDir: absolutePath(raw, "PADDOCK_STATE_DIR"),
    streams: streams(raw, id),
    guestDir: absolutePath(raw, "PADDOCK_GUEST_DIR"),
    qemuBinary: nonEmpty(raw, "PADDOCK_QEMU_BINARY"),
    accelerator: oneOf(raw, "PADDOCK_ACCELERATOR", ["auto", "kvm", "tcg"]),
    production: oneOf(raw, "PADDOCK_PRODUCTION", ["true", "false"]) === "true",
    vmUidBase: integer(raw, "PADDOCK_VM_UID_BASE", 1, 2 ** 31),
    cpuOvercommit: decimal(raw, "PADDOCK_CPU_OVERCOMMIT", 1, 100),
    defaultMemoryBytes: integer(raw, "PADDOCK_DEFAULT_MEMORY_BYTES", 96 * MIB, 2 ** 43),
    defaultVcpus: integer(raw, "PADDOCK_DEFAULT_VCPUS", 1, 240),
    maxVcpus: integer(raw, "PADDOCK_MAX_VCPUS", 0, 240),
    memoryReserveBytes: integer(raw, "PADDOCK_MEMORY_RESERVE_BYTES", 0, 2 ** 43),
    diskFloorBytes: integer(raw, "PADDOCK_DISK_FLOOR_BYTES", 0, 2 ** 50),
    bootTimeoutMs: integer(raw, "PADDOCK_BOOT_TIMEOUT_MS", 1000, 600_000),
    labels: labels(raw.PADDOCK_NODE_LABELS),
    natsUrl: nats.url,
    natsFiles: nats.files,
    logLevel: oneOf(raw, "PADDOCK_LOG_LEVEL", LOG_LEVELS),
    otlpEndpoint: raw.OTEL_EXPORTER_OTLP_ENDPOINT || undefined,
    readyFd: readyFd === "" ? undefined : integer(raw, "PADDOCK_READY_FD", 1, 65_535),
  };
}

function wrong(name: string, value: string, wanted: string): never {
  throw new Error(`${name} is ${JSON.stringify(value)}, it must be ${wanted}`);
}

/** The host's name is made to fit when no id is given: letters, digits, dashes; ids are never silently changed. */
function nodeId(given: string): string {
  if (given !== "")
    return parseNodeId(given) ?? wrong("PADDOCK_NODE_ID", given, "letters, digits, '.', '_', '-'");
  const fitted = hostname()
    .replace(/[^a-zA-Z0-9_.-]+/g, "-")
    .replace(/^[^a-zA-Z0-9]+/, "")
    .slice(0, 128);
  return fitted === "" ? "node" : fitted;
}

function absolutePath(raw: RawConfig, name: Name): string {
  return isAbsolute(raw[name]) ? join(raw[name], ".") : wrong(name, raw[name], "an absolute path");
}

function address(raw: RawConfig, name: Name): HostPort {
  return parseHostPort(raw[name]) ?? wrong(name, raw[name], "host:port");
}

/**
 * Beyond the host itself the api is known by its certificate alone, and it is never told an address that stands for all of a host. What
 * the files hold is looked at here too, so that the daemon does not begin with what it could not use.
 */
function streams(raw: RawConfig, id: string): StreamSettings {
  const listen = address(raw, "PADDOCK_NODE_STREAM_ADDRESS");
  const advertise =
    raw.PADDOCK_NODE_STREAM_ADVERTISE_ADDRESS === ""
      ? undefined
      : address(raw, "PADDOCK_NODE_STREAM_ADVERTISE_ADDRESS");
  const credentials = peerFiles(raw);
  parsePeerCredentials(peerPaths(credentials).map(readSmallFile), { kind: "node", nodeId: id });
  if (isWildcard((advertise ?? listen).host))
    throw new Error(
      `PADDOCK_NODE_STREAM_ADVERTISE_ADDRESS must be an address at which the api reaches this node: ${formatHostPort(advertise ?? listen)} stands for all of this host's`,
    );
  const reached = [listen, ...(advertise === undefined ? [] : [advertise])].find(
    ({ host }) => !isLoopback(host),
  );
  if (reached !== undefined && credentials.kind === "secret")
    throw new Error(
      `${formatHostPort(reached)} can be reached from other hosts, which needs certificates: set PADDOCK_STREAM_TLS_CERT_FILE, PADDOCK_STREAM_TLS_KEY_FILE and PADDOCK_STREAM_TLS_CA_FILE in place of PADDOCK_STREAM_SECRET_FILE, or PADDOCK_NODE_STREAM_ADDRESS to a loopback address`,
    );
  return { listen, advertise, credentials };
}

function nonEmpty(raw: RawConfig, name: Name): string {
  return raw[name] === "" ? wrong(name, "", "given") : raw[name];
}

function oneOf<T extends string>(raw: RawConfig, name: Name, allowed: readonly T[]): T {
  return allowed.find((each) => each === raw[name]) ?? wrong(name, raw[name], `one of ${allowed.join(", ")}`);
}

function integer(raw: RawConfig, name: Name, min: number, max: number): number {
  const value = /^[0-9]{1,16}$/.test(raw[name]) ? Number(raw[name]) : Number.NaN;
  return value >= min && value <= max ? value : wrong(name, raw[name], `an integer from ${min} to ${max}`);
}

function decimal(raw: RawConfig, name: Name, min: number, max: number): number {
  const value = /^[0-9]{1,9}(\.[0-9]{1,9})?$/.test(raw[name]) ? Number(raw[name]) : Number.NaN;
  return value >= min && value <= max ? value : wrong(name, raw[name], `a number from ${min} to ${max}`);
}

function labels(text: string): Record<string, string> {
  if (text === "") return {};
  return Object.fromEntries(
    text.split(",").map((pair): [string, string] => {
      const match = /^([a-zA-Z0-9][a-zA-Z0-9_./-]{0,127})=([^,]{0,256})$/.exec(pair);
      if (match === null) return wrong("PADDOCK_NODE_LABELS", text, "key=value,key=value");
      return [match[1] ?? "", match[2] ?? ""];
    }),
  );
}
