/**
 * Network namespaces that another program has created and configured, as CNI plugins do. The VM of a sandbox takes the place of
 * the programs in such a namespace: each link with an address gets a tap, and the guest gets the link's MAC address, addresses,
 * routes and permanent neighbours. Policies, published ports and rates are up to the namespace's owner.
 *
 * A namespace is identified by its name below `/run/netns` and by its inode: if a name was given to another namespace, nothing
 * of the earlier one is left.
 */
import { createHash } from "node:crypto";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import {
  commandRunner,
  HostReader,
  HostWriter,
  linkOfMirror,
  mirrorLines,
  mirrorQueues,
  mirrorQueuesRemoved,
  type NetnsLink,
  type NetnsNetwork,
  NetworkError,
  type TapOwner,
} from "@paddock/network";

export const NETNS_DIRECTORY = "/run/netns";

/** Valid names. A name is not a path: `ip netns` creates files in one directory. */
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}$/;

/** An existing namespace. */
export type Netns = { readonly name: string; readonly inode: string };

export class CallerNamespaces {
  readonly #directory: string;
  /** Begins the labels of this node's taps: other nodes of the host may use the same namespaces. */
  readonly #node: string;

  /** `directory` is another one in tests only. */
  constructor(stateDir: string, directory: string = NETNS_DIRECTORY) {
    this.#directory = directory;
    this.#node = `${createHash("sha256").update(stateDir).digest("hex").slice(0, 16)}.`;
  }

  /** Command prefix that runs a command in the namespace. */
  prefix({ name }: Pick<Netns, "name">): readonly string[] {
    return ["nsenter", `--net=${join(this.#directory, name)}`, "--"];
  }

  /**
   * The namespace with this name, and its network. Throws `invalid` for a name without a namespace, for the host's own
   * namespace, and for one without a link that has an address, and `exhausted`; see `netnsNetwork`.
   */
  async read(name: string, signal?: AbortSignal): Promise<Netns & { readonly network: NetnsNetwork }> {
    const inode = NAME.test(name) ? await this.#inodeOf(name) : undefined;
    if (inode === undefined)
      throw new NetworkError(
        "invalid",
        `the node has no network namespace ${JSON.stringify(name)} in ${NETNS_DIRECTORY}`,
      );
    if (inode === (await hostIdentity()).inode)
      throw new NetworkError(
        "invalid",
        `${JSON.stringify(name)} is the network namespace of the host itself`,
      );
    const network = await new HostReader(this.#runner(name)).netns(signal);
    if (network.links.length === 0)
      throw new NetworkError(
        "invalid",
        `no link of the network namespace ${JSON.stringify(name)} is up and has an address`,
      );
    return { name, inode, network };
  }

  /** Creates a tap for each link. Throws `refused` for a link with another program's ingress queue. */
  async connect(
    netns: Netns,
    links: readonly NetnsLink[],
    owner: TapOwner,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#require(netns);
    const writer = new HostWriter(this.#runner(netns.name));
    for (const link of links) {
      await writer.links(mirrorLines(link, { ...owner, label: this.#node + owner.label }), signal);
      await writer.queues(mirrorQueues(link), signal);
    }
  }

  /**
   * Removes the taps of an owner, complete or not, or only that of one link. The links stay as the owner of the namespace left
   * them.
   */
  async disconnect(
    netns: Netns,
    label: string,
    { only, signal }: { readonly only?: number; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    if ((await this.#inodeOf(netns.name)) !== netns.inode) return;
    const run = this.#runner(netns.name);
    const [reader, writer] = [new HostReader(run), new HostWriter(run)];
    const links = await reader.links(signal);
    for (const { name: tap } of links.filter((each) => each.label === this.#node + label)) {
      const number = linkOfMirror(tap);
      if (number === undefined || (only ?? number) !== number) continue;
      const link = links.find(({ index }) => index === number);
      if (link !== undefined && (await this.#isOurs(reader, link.name, tap, signal)))
        await writer.queues(mirrorQueuesRemoved(link), signal);
      await writer.links([`link delete ${tap}`], signal);
    }
  }

  /** The labels of all taps of this node in all namespaces, each with its namespace. */
  async owners(signal?: AbortSignal): Promise<readonly (Netns & { readonly label: string })[]> {
    const found = await Promise.all((await this.#names()).map((name) => this.#ownersIn(name, signal)));
    return found.flat();
  }

  /** A link's queue without filters was left by a daemon that died between two lines. */
  async #isOurs(reader: HostReader, link: string, tap: string, signal?: AbortSignal): Promise<boolean> {
    const targets = await reader.ingressTargets(link, signal);
    return targets.every((each) => each === tap);
  }

  async #ownersIn(
    name: string,
    signal?: AbortSignal,
  ): Promise<readonly (Netns & { readonly label: string })[]> {
    const inode = await this.#inodeOf(name);
    if (inode === undefined) return [];
    const links = await new HostReader(this.#runner(name)).links(signal);
    const labels = links
      .filter((each) => linkOfMirror(each.name) !== undefined && each.label.startsWith(this.#node))
      .map(({ label }) => label.slice(this.#node.length));
    return [...new Set(labels)].map((label) => ({ name, inode, label }));
  }

  async #names(): Promise<readonly string[]> {
    try {
      return (await readdir(this.#directory)).filter((name) => NAME.test(name));
    } catch (error) {
      if (isMissing(error)) return [];
      throw error;
    }
  }

  async #require(netns: Netns): Promise<void> {
    if ((await this.#inodeOf(netns.name)) !== netns.inode)
      throw new NetworkError("invalid", `the network namespace ${JSON.stringify(netns.name)} was replaced`);
  }

  /** Undefined if there is no namespace with this name. */
  async #inodeOf(name: string): Promise<string | undefined> {
    const [found, host] = await Promise.all([identityOf(join(this.#directory, name)), hostIdentity()]);
    return found?.device === host.device ? found.inode : undefined;
  }

  #runner(name: string) {
    return commandRunner({ prefix: this.prefix({ name }) });
  }
}

type Identity = { readonly device: bigint; readonly inode: string };

async function identityOf(path: string): Promise<Identity | undefined> {
  try {
    const { dev, ino } = await stat(path, { bigint: true });
    return { device: dev, inode: String(ino) };
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Namespaces are files of one file system of the kernel. */
async function hostIdentity(): Promise<Identity> {
  const own = await identityOf("/proc/self/ns/net");
  if (own === undefined) throw new NetworkError("refused", "this kernel has no network namespaces");
  return own;
}

const isMissing = (error: unknown): boolean =>
  error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");
