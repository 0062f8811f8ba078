/**
 * The settings of the connection to NATS, the same for the api and the node daemon.
 *
 * A client of the bus commands the node daemons, which are root. So without TLS only a server on this very host is
 * talked to, and a combination of settings that contradicts itself, or that a reader could take for more than it is, is refused.
 */
import { type BusFiles, readBusFiles } from "./bus-files.ts";
import { isLoopbackHost, parseBusServers, shownServer } from "./bus-servers.ts";

/** Names of the settings, with what holds when one is not set. */
export const BUS_SETTINGS = {
  PADDOCK_NATS_URL: "nats://127.0.0.1:4222",
  PADDOCK_NATS_CA_FILE: "",
  PADDOCK_NATS_CERT_FILE: "",
  PADDOCK_NATS_KEY_FILE: "",
  PADDOCK_NATS_NKEY_FILE: "",
  PADDOCK_NATS_CREDS_FILE: "",
} as const;

export type BusSettingName = keyof typeof BUS_SETTINGS;

/** Where the bus is, and what is shown to it. */
export type BusSettings = { readonly url: string; readonly files: BusFiles };

/** Understands the settings and reads the files once. Throws an Error that names the setting. */
export function parseBusSettings(raw: Readonly<Partial<Record<BusSettingName, string>>>): BusSettings {
  const url = raw.PADDOCK_NATS_URL || BUS_SETTINGS.PADDOCK_NATS_URL;
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
    throw new Error(
      `PADDOCK_NATS_URL: ${shownServer(open)} is another host and not encrypted, and the bus commands daemons that are root: use tls://`,
    );
  if ((files.cert === undefined) !== (files.key === undefined))
    throw new Error("PADDOCK_NATS_CERT_FILE and PADDOCK_NATS_KEY_FILE belong together");
  if ((files.ca ?? files.cert) !== undefined && servers.some(({ isTls }) => !isTls))
    throw new Error(
      "PADDOCK_NATS_CA_FILE and PADDOCK_NATS_CERT_FILE mean nothing to nats:// in PADDOCK_NATS_URL: use tls://",
    );
  const logins = [
    servers.some(({ login }) => login !== undefined) && "a login in PADDOCK_NATS_URL",
    files.nkey !== undefined && "PADDOCK_NATS_NKEY_FILE",
    files.creds !== undefined && "PADDOCK_NATS_CREDS_FILE",
  ].filter((each) => each !== false);
  if (logins.length > 1) throw new Error(`${logins.join(" and ")} exclude each other: one says who logs in`);
}

function named<T>(setting: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new Error(`${setting}: ${error instanceof Error ? error.message : error}`);
  }
}
