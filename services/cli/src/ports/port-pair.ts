import { usageError } from "../cli-error.ts";

/** A port of this host, and the port of a sandbox that it leads to. Local port 0 takes a free one. */
export type PortPair = { readonly localPort: number; readonly remotePort: number };

const FORM = /^(?:(\d{0,5}):)?(\d{1,5})$/;
const MAX_PORT = 65_535;

/** Parses "[LOCAL:]REMOTE". Without LOCAL it is the same port; an empty LOCAL takes a free port. Throws a usage error. */
export function parsePortPair(text: string): PortPair {
  const [, local, remote] = FORM.exec(text) ?? [];
  const remotePort = Number(remote);
  const localPort = local === undefined ? remotePort : Number(local);
  if (remotePort >= 1 && remotePort <= MAX_PORT && localPort <= MAX_PORT) return { localPort, remotePort };
  throw usageError(
    `${JSON.stringify(text)} is not a port to forward`,
    'write REMOTE, LOCAL:REMOTE, or :REMOTE for a free local port, such as "8080:80"',
  );
}
