/**
 * Names of services in their certificates: a URI among the subject's alternative names. A certificate has exactly one, because it
 * belongs to one service.
 */
export type PeerName = { readonly kind: "api" } | { readonly kind: "node"; readonly nodeId: string };

const SCHEME = "paddock://";

export const peerUri = (name: PeerName): string =>
  name.kind === "api" ? `${SCHEME}api` : `${SCHEME}node/${name.nodeId}`;

/** Why a certificate with these alternative names (in the form of Node.js) does not belong to `wanted`; undefined if it does. */
export function nameProblem(subjectAltName: string | undefined, wanted: PeerName): string | undefined {
  const names = urisIn(subjectAltName ?? "").filter((uri) => uri.startsWith(SCHEME));
  const uri = peerUri(wanted);
  if (names.length === 1 && names[0] === uri) return undefined;
  const has =
    names.length === 0 ? "no name of a service" : names.map((name) => JSON.stringify(name)).join(", ");
  return `the certificate has ${has}, it must have the URI ${uri} and no other of ${SCHEME}`;
}

/**
 * Node.js quotes names with commas, quotes and similar characters. Peer names have none of these, so quoted names are skipped.
 */
function urisIn(subjectAltName: string): string[] {
  const plain = subjectAltName.replace(/"(?:[^"\\]|\\.)*"/g, '"');
  return plain.split(", ").flatMap((name) => (name.startsWith("URI:") ? [name.slice("URI:".length)] : []));
}
