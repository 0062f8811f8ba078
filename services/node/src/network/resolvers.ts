import { readFile } from "node:fs/promises";
import { isIP } from "node:net";

/** Files in which the real name servers are, behind a stub resolver or not. */
const FILES = [
  "/etc/resolv.conf",
  "/run/systemd/resolve/resolv.conf",
  "/run/NetworkManager/no-stub-resolv.conf",
];

/** Maximum number of name servers that a resolver asks. */
const MOST = 3;

export type Resolver = { readonly nameservers: readonly string[]; readonly searches: readonly string[] };

/**
 * The host's name servers for its guests: those of the first file with one that a guest can reach. A stub on a loopback address
 * works only on the host.
 */
export async function hostResolver(files: readonly string[] = FILES): Promise<Resolver> {
  for (const file of files) {
    const resolver = parseResolver(await readFile(file, "utf8").catch(() => ""));
    if (resolver.nameservers.length > 0) return resolver;
  }
  return { nameservers: [], searches: [] };
}

/** Parses a resolv.conf, without servers on loopback and link-local addresses. */
export function parseResolver(text: string): Resolver {
  const lines = text.split("\n").map((line) => line.trim().split(/\s+/));
  const nameservers = lines
    .filter(([word]) => word === "nameserver")
    .map(([, address = ""]) => address)
    .filter((address) => isIP(address) !== 0 && !isLocal(address));
  const searches =
    lines
      .filter(([word]) => word === "search" || word === "domain")
      .at(-1)
      ?.slice(1) ?? [];
  return { nameservers: nameservers.slice(0, MOST), searches: searches.slice(0, 6) };
}

const isLocal = (address: string): boolean =>
  /^(?:127\.|0\.|::1$|fe[89ab])/i.test(address) || address.includes("%");
