/** Settings of the api, from the environment, in two steps: `readEnv` takes the texts that are set, `parseConfig` parses them. */
import { BUS_SETTINGS, parseBusSettings } from "@paddock/bus";
import {
  ConfigError,
  type Form,
  listOf,
  PROCESS_SETTINGS,
  parseSettings,
  readSettingTexts,
  type Settings,
  type SettingTexts,
  text,
} from "@paddock/lifecycle";
import { hostPortForm, isLoopback, PEER_SETTINGS, peerFiles } from "@paddock/rpc";
import { TELEMETRY_SETTINGS } from "@paddock/telemetry";
import { openCredentials, type TlsFiles } from "./credentials.ts";
import { type CorsOrigins, parseOrigin } from "./listeners/cross-origin.ts";
import { parseAllowedHost } from "./listeners/known-hosts.ts";

const origins: Form<CorsOrigins> = {
  form: "a list of origins such as https://app.example, separated by commas, nor *",
  parse: (given) => {
    const listed = listOf("origins", (item) => (item === "*" ? item : parseOrigin(item))).parse(given);
    return listed?.includes("*") ? "*" : listed && new Set(listed);
  },
};

export const API_SETTINGS = {
  PADDOCK_API_GRPC_ADDRESS: { ...hostPortForm, doc: "address for gRPC", default: "127.0.0.1:7070" },
  PADDOCK_API_HTTP_ADDRESS: {
    ...hostPortForm,
    doc: "address for Connect, gRPC-Web, /metrics, /healthz, /readyz",
    default: "127.0.0.1:7080",
  },
  PADDOCK_API_TLS_CERT_FILE: { ...text, doc: "PEM: certificate of both ports" },
  PADDOCK_API_TLS_KEY_FILE: { ...text, doc: "PEM: key of that certificate" },
  PADDOCK_API_TOKEN_FILE: { ...text, doc: "file with the bearer token that clients send" },
  PADDOCK_API_ALLOWED_HOSTS: {
    ...listOf("hosts such as paddock.example or paddock.example:8443", parseAllowedHost),
    doc: "more names of the HTTP port, see below",
    default: "",
  },
  PADDOCK_API_CORS_ORIGINS: { ...origins, doc: "origins of web pages that may call, see below", default: "" },
  ...PEER_SETTINGS,
  ...BUS_SETTINGS,
  ...TELEMETRY_SETTINGS,
  ...PROCESS_SETTINGS,
} satisfies Settings;

type Texts = SettingTexts<typeof API_SETTINGS>;

export type Config = ReturnType<typeof parseConfig>;

/** The texts that are set. Throws `ConfigError` for a PADDOCK_ name that does not exist. */
export const readEnv = (env: NodeJS.ProcessEnv): Texts => readSettingTexts(API_SETTINGS, env);

/** The settings with defaults. Throws `ConfigError` for values that are invalid or unsafe. */
export function parseConfig(texts: Texts) {
  const values = parseSettings(API_SETTINGS, texts);
  const nats = parseBusSettings(texts);
  const config = {
    natsUrl: nats.url,
    natsFiles: nats.files,
    logLevel: values.PADDOCK_LOG_LEVEL,
    readyFd: values.PADDOCK_READY_FD,
    grpcAddress: values.PADDOCK_API_GRPC_ADDRESS,
    httpAddress: values.PADDOCK_API_HTTP_ADDRESS,
    tls: tls(values.PADDOCK_API_TLS_CERT_FILE, values.PADDOCK_API_TLS_KEY_FILE),
    tokenFile: values.PADDOCK_API_TOKEN_FILE,
    /** Credentials with which the api and the nodes authenticate each other. */
    stream: peerFiles(texts),
    /** Names of the HTTP port that requests may use, besides its own. */
    allowedHosts: values.PADDOCK_API_ALLOWED_HOSTS,
    /** Origins of web pages that may call, besides the HTTP port's own. */
    corsOrigins: values.PADDOCK_API_CORS_ORIGINS,
    otlpEndpoint: values.OTEL_EXPORTER_OTLP_ENDPOINT,
  };
  requireTlsAndToken(config);
  requireUsableFiles(config);
  return config;
}

/** An address that other hosts can reach needs TLS and a token. Calls from every web page need a token. */
function requireTlsAndToken(config: Config): void {
  if (config.corsOrigins === "*" && config.tokenFile === undefined)
    throw new ConfigError(
      "PADDOCK_API_CORS_ORIGINS: * lets every web page call, which needs a token: set PADDOCK_API_TOKEN_FILE, or name the origins",
    );
  const addresses = [
    ["PADDOCK_API_GRPC_ADDRESS", config.grpcAddress],
    ["PADDOCK_API_HTTP_ADDRESS", config.httpAddress],
  ] as const;
  for (const [name, { host }] of addresses) {
    if (isLoopback(host) || (config.tls && config.tokenFile)) continue;
    throw new ConfigError(
      `${name}: ${host} can be reached from other hosts, which needs TLS and a token: set PADDOCK_API_TLS_CERT_FILE, PADDOCK_API_TLS_KEY_FILE and PADDOCK_API_TOKEN_FILE, or listen on 127.0.0.1`,
    );
  }
}

function tls(certificateFile: string | undefined, keyFile: string | undefined): TlsFiles | undefined {
  if (certificateFile === undefined && keyFile === undefined) return undefined;
  if (certificateFile !== undefined && keyFile !== undefined) return { certificateFile, keyFile };
  throw new ConfigError("PADDOCK_API_TLS_CERT_FILE and PADDOCK_API_TLS_KEY_FILE belong together");
}

/** The files are read once here, so that the process does not start with files it cannot use. */
function requireUsableFiles(config: Config): void {
  try {
    openCredentials(config, { changed: () => {}, unusable: () => {} })[Symbol.dispose]();
  } catch (error) {
    throw new ConfigError(error instanceof Error ? error.message : String(error));
  }
}
