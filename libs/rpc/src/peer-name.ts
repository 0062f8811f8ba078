/**
 * Names of services in their certificates: a URI among the subject's alternative names. A certificate has one of them, as it is the
 * certificate of one service.
 */
export type PeerName = { readonly kind: "api" } | { readonly kind: "node"; readonly nodeId: string };

const SCHEME = "paddock://";

export const peerUri = (name: PeerName): string =>
  name.kind === "api" ? `${SCHEME}api` : `${SCHEME}node/${name.nodeId}`;

/** Why a certificate with these alternative names (as Node writes them) is not that of `wanted`; undefined when it is. */
export function nameProblem(subjectAltName: string | undefined, wanted: PeerName): string | undefined {
  const names = urisIn(subjectAltName ?? "").filter((uri) => uri.startsWith(SCHEME));
  const uri = peerUri(wanted);
  if (names.length === 1 && names[0] === uri) return undefined;
  const has =
    names.length === 0 ? "no name of a service" : names.map((name) => JSON.stringify(name)).join(", ");
  return `the certificate has ${has}, it must have the URI ${uri} and no other of ${SCHEME}`;
}

/** Node puts names with commas, quotes and the like in quotes. None of ours has them, so those are left out whole. */
function urisIn(subjectAltName: string): string[] {
  const plain = subjectAltName.replace(/"(?:[^"\\]|\\.)*"/g, '"');
  return plain.split(", ").flatMap((name) => (name.startsWith("URI:") ? [name.slice("URI:".length)] : []));
}
