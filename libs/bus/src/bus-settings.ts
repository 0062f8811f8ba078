/**
 * Settings of the connection to NATS, the same for the api and the node daemon.
 *
 * A client of the bus commands the node daemons, which run as root. So without TLS the server must be on this host. Settings that
 * contradict each other, or have no effect, are refused.
 */
import { ConfigError, type Settings, type SettingTexts, text } from "@paddock/lifecycle";
import { type BusFiles, readBusFiles } from "./bus-files.ts";
import { isLoopbackHost, parseBusServers, shownServer } from "./bus-servers.ts";

export const BUS_SETTINGS = {
  PADDOCK_NATS_URL: {
    ...text,
    doc: "`tls://user:password@host:port`, several with commas; `nats://` on loopback only",
    default: "nats://127.0.0.1:4222",
  },
  PADDOCK_NATS_CA_FILE: {
    ...text,
    doc: "PEM: authorities that may sign the server's certificate",
    shownDefault: "the system's",
  },
  PADDOCK_NATS_CERT_FILE: { ...text, doc: "PEM: certificate of this client" },
  PADDOCK_NATS_KEY_FILE: { ...text, doc: "PEM: key of that certificate, readable by its owner only" },
  PADDOCK_NATS_NKEY_FILE: { ...text, doc: "nkey seed to log in with, readable by its owner only" },
  PADDOCK_NATS_CREDS_FILE: {
    ...text,
    doc: "credentials file of `nsc` to log in with, readable by its owner only",
  },
} satisfies Settings;

/** The address of the bus, and the files with the credentials of its client. */
export type BusSettings = { readonly url: string; readonly files: BusFiles };

/** Parses the settings and reads the files once. Throws a `ConfigError` that names the setting. */
export function parseBusSettings(raw: SettingTexts<typeof BUS_SETTINGS>): BusSettings {
  const url = raw.PADDOCK_NATS_URL || BUS_SETTINGS.PADDOCK_NATS_URL.default;
  const files = {
    ca: raw.PADDOCK_NATS_CA_FILE || undefined,
    cert: raw.PADDOCK_NATS_CERT_FILE || undefined,
    key: raw.PADDOCK_NATS_KEY_FILE || undefined,
    nkey: raw.PADDOCK_NATS_NKEY_FILE || undefined,
    creds: raw.PADDOCK_NATS_CREDS_FILE || undefined,
  };
  refuseContradictions(url, files);
  for (const [name, path] of Object.entries(files)) {
    const setting = `PADDOCK_NATS_${name.toUpperCase()}_FILE`;
    if (path !== undefined) named(setting, () => readBusFiles({ [name]: path }));
  }
  return { url, files };
}

function refuseContradictions(url: string, files: BusFiles): void {
  const servers = named("PADDOCK_NATS_URL", () => parseBusServers(url));
  const open = servers.find(({ isTls, host }) => !isTls && !isLoopbackHost(host));
  if (open !== undefined)
    throw new ConfigError(
      `PADDOCK_NATS_URL: ${shownServer(open)} is on another host and not encrypted, and the bus commands daemons that run as root: use tls://`,
    );
  if ((files.cert === undefined) !== (files.key === undefined))
    throw new ConfigError("PADDOCK_NATS_CERT_FILE and PADDOCK_NATS_KEY_FILE belong together");
  if ((files.ca ?? files.cert) !== undefined && servers.some(({ isTls }) => !isTls))
    throw new ConfigError(
      "PADDOCK_NATS_CA_FILE and PADDOCK_NATS_CERT_FILE have no effect with nats:// in PADDOCK_NATS_URL: use tls://",
    );
  const logins = [
    servers.some(({ login }) => login !== undefined) && "a login in PADDOCK_NATS_URL",
    files.nkey !== undefined && "PADDOCK_NATS_NKEY_FILE",
    files.creds !== undefined && "PADDOCK_NATS_CREDS_FILE",
  ].filter((each) => each !== false);
  if (logins.length > 1)
    throw new ConfigError(`${logins.join(" and ")} exclude each other: set one way to log in`);
}

function named<T>(setting: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new ConfigError(`${setting}: ${error instanceof Error ? error.message : error}`);
  }
}
