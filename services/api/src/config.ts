/** Settings of the api, from the environment in two steps: what is there, and whether it makes sense. */
import { BUS_SETTINGS, type BusSettings, parseBusSettings } from "@paddock/bus";
import {
  type HostPort,
  isLoopback,
  PEER_SETTINGS,
  type PeerFiles,
  parseHostPort,
  peerFiles,
} from "@paddock/rpc";
import { type LogLevelName, parseLogLevel } from "@paddock/telemetry";
import { openCredentials, type TlsFiles } from "./credentials.ts";
import { type CorsOrigins, parseOrigin } from "./listeners/cross-origin.ts";
import { type AllowedHost, parseAllowedHost } from "./listeners/known-hosts.ts";

const NAMES = [
  ...(Object.keys(BUS_SETTINGS) as (keyof typeof BUS_SETTINGS)[]),
  "PADDOCK_LOG_LEVEL",
  "PADDOCK_READY_FD",
  "PADDOCK_API_GRPC_ADDRESS",
  "PADDOCK_API_HTTP_ADDRESS",
  "PADDOCK_API_TLS_CERT_FILE",
  "PADDOCK_API_TLS_KEY_FILE",
  "PADDOCK_API_TOKEN_FILE",
  "PADDOCK_API_ALLOWED_HOSTS",
  "PADDOCK_API_CORS_ORIGINS",
  PEER_SETTINGS.certificate,
  PEER_SETTINGS.key,
  PEER_SETTINGS.ca,
  PEER_SETTINGS.secret,
  "OTEL_EXPORTER_OTLP_ENDPOINT",
] as const;

type RawConfig = Readonly<Partial<Record<(typeof NAMES)[number], string>>>;

export type Config = {
  readonly natsUrl: string;
  readonly natsFiles: BusSettings["files"];
  readonly logLevel: LogLevelName;
  readonly readyFd: number | undefined;
  readonly grpcAddress: HostPort;
  readonly httpAddress: HostPort;
  readonly tls: TlsFiles | undefined;
  readonly tokenFile: string | undefined;
  /** What it proves to nodes that it is the api by, and they that they are nodes. */
  readonly stream: PeerFiles;
  /** By which names the HTTP port may be asked, beside its own. */
  readonly allowedHosts: readonly AllowedHost[];
  /** From where web pages may call, beside the HTTP port itself. */
  readonly corsOrigins: CorsOrigins;
  readonly otlpEndpoint: string | undefined;
};

/** A setting that makes no sense. Its message is for the operator. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

/** The settings that are set. Throws `ConfigError` for a PADDOCK_ name that does not exist. */
export function readEnv(env: NodeJS.ProcessEnv): RawConfig {
  const known: ReadonlySet<string> = new Set(NAMES);
  const unknown = Object.keys(env).filter((name) => name.startsWith("PADDOCK_") && !known.has(name));
  if (unknown.length > 0) {
    throw new ConfigError(`${unknown.sort().join(", ")}: no such setting. There are: ${NAMES.join(", ")}`);
  }
  return Object.fromEntries(NAMES.flatMap((name) => (env[name] ? [[name, env[name]]] : [])));
}

/** The settings with defaults. Throws `ConfigError` for values that make no sense or are not safe. */
export function parseConfig(raw: RawConfig): Config {
  const level = raw.PADDOCK_LOG_LEVEL ?? "info";
  const logLevel = parseLogLevel(level);
  if (logLevel === undefined) {
    throw new ConfigError(`PADDOCK_LOG_LEVEL: "${level}" is none of trace, debug, info, warn, error`);
  }
  const nats = busSettings(raw);
  const config: Config = {
    natsUrl: nats.url,
    natsFiles: nats.files,
    logLevel,
    readyFd: descriptor(raw.PADDOCK_READY_FD),
    grpcAddress: address("PADDOCK_API_GRPC_ADDRESS", raw.PADDOCK_API_GRPC_ADDRESS ?? "127.0.0.1:7070"),
    httpAddress: address("PADDOCK_API_HTTP_ADDRESS", raw.PADDOCK_API_HTTP_ADDRESS ?? "127.0.0.1:7080"),
    tls: tls(raw.PADDOCK_API_TLS_CERT_FILE, raw.PADDOCK_API_TLS_KEY_FILE),
    tokenFile: raw.PADDOCK_API_TOKEN_FILE,
    stream: stream(raw),
    allowedHosts: allowedHosts(raw.PADDOCK_API_ALLOWED_HOSTS),
    corsOrigins: corsOrigins(raw.PADDOCK_API_CORS_ORIGINS),
    otlpEndpoint: raw.OTEL_EXPORTER_OTLP_ENDPOINT,
  };
  refuseOpenDoors(config);
  refuseBadFiles(config);
  return config;
}

/** Beyond the host itself, nobody is let in without a token, and no token is sent in the clear. Nor is every web page without one. */
function refuseOpenDoors(config: Config): void {
  if (config.corsOrigins === "*" && config.tokenFile === undefined)
    throw new ConfigError(
      "PADDOCK_API_CORS_ORIGINS: * lets every web page call, which needs a token: set PADDOCK_API_TOKEN_FILE, or name the origins",
    );
  const doors = [
    ["PADDOCK_API_GRPC_ADDRESS", config.grpcAddress],
    ["PADDOCK_API_HTTP_ADDRESS", config.httpAddress],
  ] as const;
  for (const [name, { host }] of doors) {
    if (isLoopback(host) || (config.tls && config.tokenFile)) continue;
    throw new ConfigError(
      `${name}: ${host} can be reached from other hosts, which needs TLS and a token: set PADDOCK_API_TLS_CERT_FILE, PADDOCK_API_TLS_KEY_FILE and PADDOCK_API_TOKEN_FILE, or listen on 127.0.0.1`,
    );
  }
}

function address(name: string, raw: string): HostPort {
  const parsed = parseHostPort(raw);
  if (parsed !== undefined) return parsed;
  throw new ConfigError(`${name}: "${raw}" is no address such as 127.0.0.1:7070 or [::1]:7070`);
}

function stream(raw: RawConfig): PeerFiles {
  try {
    return peerFiles(raw);
  } catch (error) {
    throw new ConfigError(error instanceof Error ? error.message : String(error));
  }
}

const listed = (raw: string | undefined): string[] =>
  (raw ?? "").split(",").flatMap((part) => (part.trim() === "" ? [] : [part.trim()]));

function allowedHosts(raw: string | undefined): AllowedHost[] {
  return listed(raw).map((each) => {
    const host = parseAllowedHost(each);
    if (host !== undefined) return host;
    throw new ConfigError(
      `PADDOCK_API_ALLOWED_HOSTS: "${each}" is no host such as paddock.example or paddock.example:8443`,
    );
  });
}

function corsOrigins(raw: string | undefined): CorsOrigins {
  const origins = listed(raw);
  if (origins.includes("*")) return "*";
  return new Set(
    origins.map((each) => {
      const origin = parseOrigin(each);
      if (origin !== undefined) return origin;
      throw new ConfigError(
        `PADDOCK_API_CORS_ORIGINS: "${each}" is no origin such as https://app.example, nor *`,
      );
    }),
  );
}

function busSettings(raw: RawConfig): BusSettings {
  try {
    return parseBusSettings(raw);
  } catch (error) {
    throw new ConfigError(error instanceof Error ? error.message : String(error));
  }
}

function descriptor(raw: string | undefined): number | undefined {
  if (raw === undefined) return undefined;
  if (/^[0-9]{1,4}$/.test(raw) && Number(raw) > 2) return Number(raw);
  throw new ConfigError(`PADDOCK_READY_FD: "${raw}" is no number of an open descriptor above 2`);
}

function tls(certificateFile: string | undefined, keyFile: string | undefined): TlsFiles | undefined {
  if (certificateFile === undefined && keyFile === undefined) return undefined;
  if (certificateFile !== undefined && keyFile !== undefined) return { certificateFile, keyFile };
  throw new ConfigError("PADDOCK_API_TLS_CERT_FILE and PADDOCK_API_TLS_KEY_FILE belong together");
}

/** What the files hold is looked at here too, so that the process does not begin with what it could not use. */
function refuseBadFiles(config: Config): void {
  try {
    openCredentials(config, { changed: () => {}, unusable: () => {} })[Symbol.dispose]();
  } catch (error) {
    throw new ConfigError(error instanceof Error ? error.message : String(error));
  }
}
