import { readFile } from "node:fs/promises";
import { isIP } from "node:net";

/** Where a stub resolver keeps the addresses of the real ones. */
const FILES = [
  "/etc/resolv.conf",
  "/run/systemd/resolve/resolv.conf",
  "/run/NetworkManager/no-stub-resolv.conf",
];

/** Most name servers that a resolver asks. */
const MOST = 3;

export type Resolver = { readonly nameservers: readonly string[]; readonly searches: readonly string[] };

/**
 * The name servers of this host, for its guests: those of the first file that has one that a guest could reach. A stub on a loopback
 * address is the host's own and of no use to a guest.
 */
export async function hostResolver(files: readonly string[] = FILES): Promise<Resolver> {
  for (const file of files) {
    const resolver = parseResolver(await readFile(file, "utf8").catch(() => ""));
    if (resolver.nameservers.length > 0) return resolver;
  }
  return { nameservers: [], searches: [] };
}

/** What a resolv.conf says, without servers on loopback and link-local addresses. */
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
