/**
 * The credentials of a NATS client, from files. They are read again at each connect, so a new certificate or key takes effect
 * with a reconnect, without a restart.
 *
 * A file with a secret must be accessible only to its owner, as ssh requires of keys: the bus commands daemons that run as root.
 */
import { readFileSync, statSync } from "node:fs";
import { type Authenticator, credsAuthenticator, nkeyAuthenticator } from "@nats-io/transport-node";

/** Paths; each is optional. */
export type BusFiles = {
  /** PEM: the authorities trusted for the server, instead of the system's. */
  readonly ca?: string | undefined;
  /** PEM: the client's own certificate, with `key`. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** The seed of an nkey ("SU..."). */
  readonly nkey?: string | undefined;
  /** A credentials file as `nsc` writes it: a JWT and a seed. */
  readonly creds?: string | undefined;
};

/** The contents of the files. */
export type BusCredentials = {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly authenticator?: Authenticator;
};

const OTHERS = 0o077;

/** Reads the files. Throws an Error that names the file and never shows its contents. */
export function readBusFiles(files: BusFiles): BusCredentials {
  const { ca, cert, key, nkey, creds } = files;
  return {
    ...(ca !== undefined && { ca: pem(ca, "CERTIFICATE") }),
    ...(cert !== undefined && { cert: pem(cert, "CERTIFICATE") }),
    ...(key !== undefined && {
      key: secret(key, /-----BEGIN [A-Z ]*PRIVATE KEY-----/, "PEM with a private key"),
    }),
    ...(nkey !== undefined && { authenticator: nkeyOf(nkey) }),
    ...(creds !== undefined && { authenticator: credsOf(creds) }),
  };
}

function nkeyOf(path: string): Authenticator {
  const seed = secret(path, /^SU[A-Z2-7]{56}$/m, "the seed of a user's nkey (SU...)");
  return nkeyAuthenticator(new TextEncoder().encode(/^SU[A-Z2-7]{56}$/m.exec(seed)?.[0]));
}

function credsOf(path: string): Authenticator {
  const text = secret(path, /BEGIN NATS USER JWT[\s\S]*BEGIN USER NKEY SEED/, "a NATS credentials file");
  return credsAuthenticator(new TextEncoder().encode(text));
}

function pem(path: string, kind: string): string {
  const text = readFileSync(path, "utf8");
  if (text.includes(`-----BEGIN ${kind}-----`)) return text;
  throw new Error(`${path} is not PEM with a ${kind.toLowerCase()}`);
}

function secret(path: string, shape: RegExp, what: string): string {
  const text = readFileSync(path, "utf8");
  const { mode } = statSync(path);
  if ((mode & OTHERS) !== 0) {
    const shown = (mode & 0o777).toString(8).padStart(4, "0");
    throw new Error(`${path} is open to others than its owner (mode ${shown}): run chmod 600 ${path}`);
  }
  if (shape.test(text)) return text;
  throw new Error(`${path} is not ${what}`);
}
