/** Settings of the api, from the environment in two steps: what is there, and whether it makes sense. */
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { type LogLevelName, parseLogLevel } from "@paddock/telemetry";

const NAMES = [
  "PADDOCK_NATS_URL",
  "PADDOCK_LOG_LEVEL",
  "PADDOCK_READY_FD",
  "PADDOCK_API_GRPC_ADDRESS",
  "PADDOCK_API_HTTP_ADDRESS",
  "PADDOCK_API_TLS_CERT_FILE",
  "PADDOCK_API_TLS_KEY_FILE",
  "PADDOCK_API_TOKEN_FILE",
  "OTEL_EXPORTER_OTLP_ENDPOINT",
] as const;

type RawConfig = Readonly<Partial<Record<(typeof NAMES)[number], string>>>;

export type Address = { readonly host: string; readonly port: number };

export type Tls = { readonly certificate: Buffer; readonly key: Buffer };

export type Config = {
  readonly natsUrl: string;
  readonly logLevel: LogLevelName;
  readonly readyFd: number | undefined;
  readonly grpcAddress: Address;
  readonly httpAddress: Address;
  readonly tls: Tls | undefined;
  readonly token: string | undefined;
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
  const config: Config = {
    natsUrl: natsUrl(raw.PADDOCK_NATS_URL ?? "nats://127.0.0.1:4222"),
    logLevel,
    readyFd: descriptor(raw.PADDOCK_READY_FD),
    grpcAddress: address("PADDOCK_API_GRPC_ADDRESS", raw.PADDOCK_API_GRPC_ADDRESS ?? "127.0.0.1:7070"),
    httpAddress: address("PADDOCK_API_HTTP_ADDRESS", raw.PADDOCK_API_HTTP_ADDRESS ?? "127.0.0.1:7080"),
    tls: tls(raw.PADDOCK_API_TLS_CERT_FILE, raw.PADDOCK_API_TLS_KEY_FILE),
    token: token(raw.PADDOCK_API_TOKEN_FILE),
    otlpEndpoint: raw.OTEL_EXPORTER_OTLP_ENDPOINT,
  };
  refuseOpenDoors(config);
  return config;
}

/** Beyond the host itself, nobody is let in without a token, and no token is sent in the clear. */
function refuseOpenDoors(config: Config): void {
  const doors = [
    ["PADDOCK_API_GRPC_ADDRESS", config.grpcAddress],
    ["PADDOCK_API_HTTP_ADDRESS", config.httpAddress],
  ] as const;
  for (const [name, { host }] of doors) {
    if (isLoopback(host) || (config.tls && config.token)) continue;
    throw new ConfigError(
      `${name}: ${host} can be reached from other hosts, which needs TLS and a token: set PADDOCK_API_TLS_CERT_FILE, PADDOCK_API_TLS_KEY_FILE and PADDOCK_API_TOKEN_FILE, or listen on 127.0.0.1`,
    );
  }
}

const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));

function address(name: string, raw: string): Address {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):([0-9]{1,5})$/.exec(raw);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port > 65_535) {
    throw new ConfigError(`${name}: "${raw}" is no address such as 127.0.0.1:7070 or [::1]:7070`);
  }
  return { host, port };
}

function natsUrl(raw: string): string {
  for (const url of raw.split(",")) {
    const protocol = URL.parse(url)?.protocol;
    if (protocol !== "nats:" && protocol !== "tls:") {
      throw new ConfigError("PADDOCK_NATS_URL: not one or more of nats://host:port or tls://host:port");
    }
  }
  return raw;
}

function descriptor(raw: string | undefined): number | undefined {
  if (raw === undefined) return undefined;
  if (/^[0-9]{1,4}$/.test(raw) && Number(raw) > 2) return Number(raw);
  throw new ConfigError(`PADDOCK_READY_FD: "${raw}" is no number of an open descriptor above 2`);
}

function tls(certificateFile: string | undefined, keyFile: string | undefined): Tls | undefined {
  if (certificateFile === undefined && keyFile === undefined) return undefined;
  if (certificateFile === undefined || keyFile === undefined) {
    throw new ConfigError("PADDOCK_API_TLS_CERT_FILE and PADDOCK_API_TLS_KEY_FILE belong together");
  }
  return {
    certificate: readSetting("PADDOCK_API_TLS_CERT_FILE", certificateFile),
    key: readSetting("PADDOCK_API_TLS_KEY_FILE", keyFile),
  };
}

function token(file: string | undefined): string | undefined {
  if (file === undefined) return undefined;
  const text = readSetting("PADDOCK_API_TOKEN_FILE", file).toString("utf8").trim();
  if (/^[\x21-\x7e]{16,512}$/.test(text)) return text;
  throw new ConfigError(
    "PADDOCK_API_TOKEN_FILE: the file must hold one token of 16 to 512 printable characters",
  );
}

function readSetting(name: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new ConfigError(
      `${name}: ${file} cannot be read: ${error instanceof Error ? error.message : error}`,
    );
  }
}
