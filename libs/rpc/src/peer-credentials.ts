/**
 * How the api and a node authenticate each other, on every connection between them. Both ways use TLS 1.3, so nobody in between
 * can read or change the data of tenants.
 *
 * - By certificate. Each has one from an authority that both trust, with its name as a URI: `paddock://api`, or
 *   `paddock://node/<node id>`. The name decides, not the authority alone: a node's certificate does not open another node's
 *   port.
 * - By a secret, on one host, in a file that only these two can read. It is the pre-shared key of TLS, so it is never sent, and
 *   an impostor of a node learns nothing about it. Each node has its own key, derived from the secret and its id, so a connection
 *   that ends at another node fails.
 */
import { hkdfSync, X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import { ConfigError, type Settings, type SettingTexts, text } from "@paddock/lifecycle";
import { nameProblem, type PeerName } from "./peer-name.ts";
import type { ReadFile } from "./watched-files.ts";

/** Paths of the credentials: PEM files, or one file with a secret. */
export type PeerFiles =
  | {
      readonly kind: "certificate";
      readonly certificateFile: string;
      readonly keyFile: string;
      readonly caFile: string;
    }
  | { readonly kind: "secret"; readonly secretFile: string };

export type PeerCredentials =
  | { readonly kind: "certificate"; readonly certificate: Buffer; readonly key: Buffer; readonly ca: Buffer }
  | { readonly kind: "secret"; readonly secret: string };

/** Settings of both the api and the node daemon. */
export const PEER_SETTINGS = {
  PADDOCK_STREAM_SECRET_FILE: { ...text, doc: "on one host: file with the secret that api and node share" },
  PADDOCK_STREAM_TLS_CERT_FILE: { ...text, doc: "between hosts, PEM: certificate, see below" },
  PADDOCK_STREAM_TLS_KEY_FILE: { ...text, doc: "between hosts, PEM: key of that certificate" },
  PADDOCK_STREAM_TLS_CA_FILE: { ...text, doc: "between hosts, PEM: authority of api and nodes" },
} satisfies Settings;

/** The files that the settings name. Throws a `ConfigError` if they name no file, only some of a kind, or both kinds. */
export function peerFiles(settings: SettingTexts<typeof PEER_SETTINGS>): PeerFiles {
  const [certificate, key, ca, secret] = [
    "PADDOCK_STREAM_TLS_CERT_FILE",
    "PADDOCK_STREAM_TLS_KEY_FILE",
    "PADDOCK_STREAM_TLS_CA_FILE",
    "PADDOCK_STREAM_SECRET_FILE",
  ] as const;
  const [certificateFile, keyFile, caFile] = [settings[certificate], settings[key], settings[ca]];
  const secretFile = settings[secret];
  if (certificateFile && keyFile && caFile && !secretFile)
    return { kind: "certificate", certificateFile, keyFile, caFile };
  if (certificateFile || keyFile || caFile) {
    if (secretFile) throw new ConfigError(`${secret} and ${certificate} exclude each other: set one of them`);
    throw new ConfigError(`${certificate}, ${key} and ${ca} belong together`);
  }
  if (secretFile) return { kind: "secret", secretFile };
  throw new ConfigError(
    `api and node daemon must be able to authenticate each other: set ${secret} (on one host), or ${certificate}, ${key} and ${ca}`,
  );
}

export const peerPaths = (files: PeerFiles): readonly string[] =>
  files.kind === "secret" ? [files.secretFile] : [files.certificateFile, files.keyFile, files.caFile];

/** Parses the credentials in the files of `peerPaths`, for a service with the name `own`. Throws an Error for the operator. */
export function parsePeerCredentials(files: readonly ReadFile[], own: PeerName): PeerCredentials {
  const [first, key, ca] = files;
  if (first === undefined) throw new Error("no file with credentials is named");
  if (key === undefined || ca === undefined) return { kind: "secret", secret: parseSecret(first) };
  const credentials = certificateOf(first, key);
  certificatesIn(ca);
  const problem = nameProblem(new X509Certificate(first.bytes).subjectAltName, own);
  if (problem !== undefined) throw new Error(`${first.path}: ${problem}`);
  return { kind: "certificate", certificate: credentials.certificate, key: credentials.key, ca: ca.bytes };
}

/** A certificate with its chain and its key. Throws an Error for the operator if they do not belong together. */
export function certificateOf(
  certificate: ReadFile,
  key: ReadFile,
): { readonly certificate: Buffer; readonly key: Buffer } {
  certificatesIn(certificate);
  try {
    createSecureContext({ cert: certificate.bytes, key: key.bytes });
  } catch (error) {
    throw new Error(
      `${key.path} is not the private key of ${certificate.path}: ${error instanceof Error ? error.message : error}`,
    );
  }
  return { certificate: certificate.bytes, key: key.bytes };
}

/** Throws unless the file has at least one certificate and all are complete. OpenSSL itself checks only the first. */
function certificatesIn({ path, bytes }: ReadFile): void {
  const text = bytes.toString("latin1");
  const whole = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  if (whole.length === 0) throw new Error(`${path} has no certificate in PEM`);
  if (whole.length !== text.split("-----BEGIN CERTIFICATE").length - 1)
    throw new Error(`${path} ends within a certificate`);
  for (const pem of whole) {
    try {
      new X509Certificate(pem);
    } catch (error) {
      throw new Error(
        `${path} has a certificate that cannot be read: ${error instanceof Error ? error.message : error}`,
      );
    }
  }
}

/** Users who can read the secret can act as the api, and users who can write it can choose it. */
function parseSecret({ path, bytes, mode, uid }: ReadFile): string {
  if ((mode & 0o077) !== 0)
    throw new Error(
      `${path} can be read or changed by others than its owner (mode 0${mode.toString(8)}): chmod 600 ${path}`,
    );
  const own = process.geteuid?.();
  if (uid !== 0 && uid !== own)
    throw new Error(`${path} belongs to user ${uid}, not to this service's user ${own}`);
  const text = bytes.toString("utf8").trim();
  if (/^[\x21-\x7e]{32,512}$/.test(text)) return text;
  throw new Error(
    `${path} must hold one secret of 32 to 512 printable characters, as "openssl rand -hex 32" generates it`,
  );
}

/** The pre-shared key between the api and the node `nodeId`. */
export const peerKey = (secret: string, nodeId: string): Buffer =>
  Buffer.from(hkdfSync("sha256", secret, "paddock stream", `node ${nodeId}`, 32));
