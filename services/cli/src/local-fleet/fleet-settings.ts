/** The settings of the services that "paddock up" starts. */
import { randomBytes } from "node:crypto";
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { REPOSITORY } from "../installation.ts";
import { fleetNetwork } from "./fleet-network.ts";
import { type FleetPorts, fleetPaths } from "./fleet-record.ts";

export type FleetSettings = {
  readonly stateDir: string;
  /** 0 means any free port. */
  readonly ports: FleetPorts;
  readonly env: Readonly<Record<string, string | undefined>>;
};

const LOOPBACK = "127.0.0.1";

/** Settings of the command line. The daemons refuse to start with a setting that they do not know. */
const OURS = new Set(["PADDOCK_API", "PADDOCK_TOKEN_FILE", "PADDOCK_TLS_CA", "PADDOCK_STATE_DIR"]);

export const serviceEntry = (service: "api" | "node"): string =>
  resolve(REPOSITORY, "services", service, "src/main.ts");

/** The Node.js that runs this process: the pinned one, when started by `bin/paddock`. */
export const nodeBinary = (): string => process.execPath;

export type BusAccess = { readonly user: string; readonly password: string };

/** A new password at each start. */
export const newBusAccess = (): BusAccess => ({
  user: "paddock",
  password: randomBytes(24).toString("hex"),
});

/**
 * Writes the configuration of the NATS server. A client of the bus can command the node daemon, which is root. So the server
 * listens only on loopback and requires a password.
 */
export function writeBusConfig({ stateDir, ports }: FleetSettings, access: BusAccess): void {
  const paths = fleetPaths(stateDir);
  mkdirSync(paths.busStore, { recursive: true, mode: 0o700 });
  const lines = [
    `host: ${LOOPBACK}`,
    `port: ${ports.bus === 0 ? -1 : ports.bus}`,
    `ports_file_dir: ${JSON.stringify(paths.busStore)}`,
    `jetstream { store_dir: ${JSON.stringify(paths.busStore)}, max_memory_store: 64MB, max_file_store: 1GB }`,
    `authorization { user: ${access.user}, password: ${JSON.stringify(access.password)} }`,
    `max_payload: 4MB`,
    "",
  ];
  writeFileSync(paths.busConfig, lines.join("\n"), { mode: 0o600 });
}

/** Prefix of the settings that name the credentials of api and node daemon. */
const STREAM_CREDENTIALS = "PADDOCK_STREAM_";

/** Writes the secret that api and node daemon share, a new one at each start. Its holder can run programs in every container. */
export function writeStreamSecret({ stateDir }: FleetSettings): void {
  const { streamSecret } = fleetPaths(stateDir);
  const path = `${streamSecret}.new`;
  rmSync(path, { force: true });
  writeFileSync(path, `${randomBytes(32).toString("hex")}\n`, { mode: 0o600, flag: "wx" });
  renameSync(path, streamSecret);
}

/** The secret, unless the operator's settings name other credentials. */
function streamCredentials({ env, stateDir }: FleetSettings): NodeJS.ProcessEnv {
  const isSet = Object.keys(env).some((name) => name.startsWith(STREAM_CREDENTIALS) && env[name]);
  return isSet ? {} : { PADDOCK_STREAM_SECRET_FILE: fleetPaths(stateDir).streamSecret };
}

export const busUrl = ({ user, password }: BusAccess, port: number): string =>
  `nats://${user}:${password}@${LOOPBACK}:${port}`;

export function apiEnv(settings: FleetSettings, natsUrl: string): NodeJS.ProcessEnv {
  const { env, ports } = settings;
  const isTheirs = (name: string) =>
    name.startsWith("PADDOCK_API_") || name.startsWith(STREAM_CREDENTIALS) || SHARED.has(name);
  return {
    ...inherited(env, isTheirs),
    ...streamCredentials(settings),
    PADDOCK_API_GRPC_ADDRESS: env.PADDOCK_API_GRPC_ADDRESS ?? `${LOOPBACK}:${ports.api}`,
    PADDOCK_API_HTTP_ADDRESS: env.PADDOCK_API_HTTP_ADDRESS ?? `${LOOPBACK}:${ports.http}`,
    PADDOCK_NATS_URL: natsUrl,
  };
}

export function nodeEnv(settings: FleetSettings, natsUrl: string): NodeJS.ProcessEnv {
  const { env, ports, stateDir } = settings;
  return {
    ...inherited(env, (name) => !name.startsWith("PADDOCK_API_")),
    ...streamCredentials(settings),
    ...fleetNetwork(stateDir, env),
    PADDOCK_STATE_DIR: fleetPaths(stateDir).node,
    PADDOCK_NODE_STREAM_ADDRESS: env.PADDOCK_NODE_STREAM_ADDRESS ?? `${LOOPBACK}:${ports.stream}`,
    PADDOCK_NATS_URL: natsUrl,
  };
}

const SHARED = new Set(["PADDOCK_LOG_LEVEL"]);

function inherited(
  env: Readonly<Record<string, string | undefined>>,
  isTheirs: (name: string) => boolean,
): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(env).filter(
      ([name]) => !name.startsWith("PADDOCK_") || (!OURS.has(name) && isTheirs(name)),
    ),
  );
}
