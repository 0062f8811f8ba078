/**
 * The network of this host's sandboxes: one bridge, two tables of rules, the forwarding switches.
 *
 *     down ──(the first interface)──> up ──(no interface for a while)──> down
 *
 * While it is up, a file in the state directory has the host's former switches, so that a later daemon can restore them. A bridge of
 * another daemon is left alone: its label says whose it is.
 */
import { createHash } from "node:crypto";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  addInterface,
  bridgeAdded,
  bridgeLines,
  bridgeRemoved,
  bridgeSysctls,
  changeInterface,
  closedRules,
  type ForwardingPlan,
  fdbLines,
  forwardingKeys,
  type GuestInterface,
  type HostReader,
  type HostWriter,
  type InterfaceCounters,
  type InterfaceRules,
  NetworkError,
  type NodeNetwork,
  neighboursAdded,
  neighboursRemoved,
  type PeerPair,
  parseInterfaceCounters,
  peersAdded,
  peersRemoved,
  planForwarding,
  receiveRateLines,
  removeInterface,
  removeRuleset,
  ruleset,
  tapLines,
  tapRemoved,
} from "@paddock/network";
import { parseForwarding } from "./forwarding-file.ts";
import { type Refused, readRefused } from "./refused.ts";
import type { Resolver } from "./resolvers.ts";

/** How old a reading of the counters may be, in milliseconds. */
const COUNTERS_KEPT_MS = 50;

/** An interface of a VM on the host's network. */
export type Connection = {
  readonly rules: InterfaceRules;
  /** User of the VM. */
  readonly uid: number;
  /** Id of the VM. */
  readonly owner: string;
  /** Limit on what the guest receives, in bytes per second. */
  readonly receiveBytesPerSecond: number | undefined;
};

export type HostNetworkOptions = {
  readonly network: NodeNetwork;
  /** The name servers for guests. */
  readonly resolver: Resolver;
  readonly writer: HostWriter;
  readonly reader: HostReader;
  readonly stateDir: string;
  /** How long the network stays up without an interface, in milliseconds. */
  readonly idleMs: number;
  /** Called when it could not be torn down. */
  readonly onDownFailed: (error: unknown) => void;
};

export class HostNetwork implements AsyncDisposable {
  readonly network: NodeNetwork;
  readonly resolver: Resolver;
  readonly #writer: HostWriter;
  readonly #reader: HostReader;
  readonly #label: string;
  readonly #forwardingFile: string;
  readonly #idleMs: number;
  readonly #onDownFailed: (error: unknown) => void;
  /** Names of the connected taps. */
  readonly #connected = new Set<string>();
  #isUp = false;
  #counters: Promise<ReadonlyMap<string, InterfaceCounters>> = Promise.resolve(new Map());
  #countersReadMs = Number.NEGATIVE_INFINITY;
  /** The last change of the whole network; the next change waits for it. */
  #changing: Promise<void> = Promise.resolve();
  #idle: NodeJS.Timeout | undefined;

  constructor({ network, resolver, writer, reader, stateDir, idleMs, onDownFailed }: HostNetworkOptions) {
    this.network = network;
    this.resolver = resolver;
    this.#writer = writer;
    this.#reader = reader;
    this.#label = `paddock-${createHash("sha256").update(stateDir).digest("hex").slice(0, 16)}`;
    this.#forwardingFile = join(stateDir, "network.json");
    this.#idleMs = idleMs;
    this.#onDownFailed = onDownFailed;
  }

  /**
   * Takes over the network of an earlier daemon: writes the rules of these interfaces, or tears the network down if there are
   * none.
   */
  async restore(connections: readonly Connection[]): Promise<void> {
    const found = await this.#reader.bridgeLabel(this.network);
    if (connections.length === 0 && found !== this.#label) {
      // The file of a network that ended with a reboot of the host.
      await rm(this.#forwardingFile, { force: true });
      return;
    }
    for (const { rules } of connections) this.#connected.add(rules.guest.tap);
    await this.#inTurn(() =>
      connections.length === 0 ? this.#tearDown() : this.#setUp(connections.map(({ rules }) => rules)),
    );
    await this.#restoreRates(connections);
  }

  /** An earlier daemon may have died in a change of rates. A rate that is not set cannot be lifted, which is no error. */
  async #restoreRates(connections: readonly Connection[]): Promise<void> {
    const lines = connections.flatMap(({ rules, receiveBytesPerSecond }) =>
      receiveRateLines(rules.guest, receiveBytesPerSecond),
    );
    await this.#writer.queuesInAnyState(lines).catch(() => undefined);
  }

  /** Creates the tap and the rules of an interface. Safe to repeat. */
  async connect(connection: Connection, signal: AbortSignal): Promise<void> {
    const { rules, uid, owner, receiveBytesPerSecond } = connection;
    const { guest } = rules;
    clearTimeout(this.#idle);
    this.#connected.add(guest.tap);
    await this.#inTurn(async () => {
      if (!this.#isUp) await this.#setUp([]);
    });
    // Without rules nothing passes a tap, so the order of the two does not matter.
    await Promise.all([
      this.#writer.rules(addInterface(this.network, rules), signal),
      this.#makeTap({ rules, uid, owner, receiveBytesPerSecond }, signal),
    ]);
  }

  async #makeTap(
    { rules, uid, owner, receiveBytesPerSecond }: Connection,
    signal: AbortSignal,
  ): Promise<void> {
    const { guest } = rules;
    const lines = tapLines(this.network, guest, { uid, label: owner });
    await this.#writer.links(lines, signal).catch(async (error: unknown) => {
      // An earlier attempt has created it, perhaps partly.
      if (!(await this.#hasTap(guest.tap, signal))) throw error;
      await this.#removeTap(guest.tap, signal);
      await this.#writer.links(lines, signal);
    });
    await this.#writer.ports(fdbLines(guest), signal);
    if (receiveBytesPerSecond !== undefined)
      await this.#writer.queues(receiveRateLines(guest, receiveBytesPerSecond), signal);
  }

  /** Changes the rules and the rates of a connected interface, or nothing of them. */
  async change(before: Connection, after: Connection, signal: AbortSignal): Promise<void> {
    const hasNewRate = before.receiveBytesPerSecond !== after.receiveBytesPerSecond;
    const setRate = ({ rules, receiveBytesPerSecond }: Connection) =>
      this.#writer.queues(receiveRateLines(rules.guest, receiveBytesPerSecond), signal);
    if (hasNewRate) await setRate(after);
    try {
      await this.#writer.rules(changeInterface(this.network, before.rules, after.rules), signal);
    } catch (error) {
      if (hasNewRate) await setRate(before).catch(() => undefined);
      throw error;
    }
  }

  /** Lets pairs of connected interfaces talk to each other. Safe to repeat. */
  async join(pairs: readonly PeerPair[], signal: AbortSignal): Promise<void> {
    await this.#writer.rules(peersAdded(this.network, pairs), signal);
  }

  /** Undoes `join`, whether it was done completely or partly. */
  async part(pairs: readonly PeerPair[], signal: AbortSignal): Promise<void> {
    if (await this.#isOurs(signal)) await this.#writer.rules(peersRemoved(this.network, pairs), signal);
  }

  /** Removes an interface, whether it exists completely or partly. */
  async disconnect({ rules }: Pick<Connection, "rules">, signal: AbortSignal): Promise<void> {
    const { guest } = rules;
    if (await this.#isOurs(signal))
      await Promise.all([
        this.#writer.rules(removeInterface(this.network, rules), signal),
        this.#removeTap(guest.tap, signal, neighboursRemoved(this.network, guest)),
      ]);
    this.#forget(guest.tap);
  }

  /** The VM ids of the network's taps. */
  async owners(): Promise<readonly string[]> {
    if (!(await this.#isOurs())) return [];
    return (await this.#reader.taps(this.network)).map(({ label }) => label);
  }

  /** Removes the taps of a VM without a record. Their rules ended when the rules were written at the start. */
  async drop(owner: string, signal: AbortSignal): Promise<void> {
    if (!(await this.#isOurs(signal))) return;
    for (const { tap, label } of await this.#reader.taps(this.network, signal))
      if (label === owner) await this.#removeTap(tap, signal);
  }

  /** The traffic of each interface of the host, by name. Concurrent readers share one reading. */
  counters(): Promise<ReadonlyMap<string, InterfaceCounters>> {
    if (performance.now() - this.#countersReadMs > COUNTERS_KEPT_MS) {
      this.#countersReadMs = performance.now();
      this.#counters = readFile("/proc/self/net/dev", "utf8").then(parseInterfaceCounters);
    }
    return this.#counters;
  }

  /** The refused packets of these interfaces: the last ones, and their number. */
  refused(guests: readonly GuestInterface[], signal: AbortSignal): Promise<Refused> {
    return readRefused(this.#reader, { network: this.network, guests }, signal);
  }

  /** Tears the network down if it has no interface. Interfaces of running VMs stay. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#idle);
    await this.#inTurn(() => this.#tearDownIfIdle()).catch(this.#onDownFailed);
  }

  #forget(tap: string): void {
    this.#connected.delete(tap);
    clearTimeout(this.#idle);
    if (this.#connected.size > 0) return;
    this.#idle = setTimeout(
      () => void this.#inTurn(() => this.#tearDownIfIdle()).catch(this.#onDownFailed),
      this.#idleMs,
    );
    this.#idle.unref();
  }

  /** Removes the tap, and the links in the lines. Missing links are not an error. */
  async #removeTap(tap: string, signal: AbortSignal, lines: readonly string[] = []): Promise<void> {
    try {
      await this.#writer.removeLinks([...lines, ...tapRemoved({ tap })], signal);
    } catch (error) {
      if (await this.#hasTap(tap, signal)) throw error;
    }
  }

  async #hasTap(tap: string, signal: AbortSignal): Promise<boolean> {
    const taps = await this.#reader.taps(this.network, signal);
    return taps.some((found) => found.tap === tap);
  }

  async #isOurs(signal?: AbortSignal): Promise<boolean> {
    return this.#isUp || (await this.#reader.bridgeLabel(this.network, signal)) === this.#label;
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#changing.then(work);
    this.#changing = turn.catch(() => undefined);
    return turn;
  }

  async #tearDownIfIdle(): Promise<void> {
    if (this.#isUp && this.#connected.size === 0) await this.#tearDown();
  }

  async #setUp(interfaces: readonly InterfaceRules[]): Promise<void> {
    const { network } = this;
    const found = await this.#reader.bridgeLabel(network);
    if (found !== undefined && found !== this.#label)
      throw new NetworkError(
        "refused",
        `the interface ${network.bridge} does not belong to this node: choose another name with PADDOCK_NETWORK_BRIDGE`,
      );
    await this.#writer.links([
      ...(found === undefined ? bridgeAdded(network) : []),
      ...bridgeLines(network, this.#label),
    ]);
    await this.#writer.links(interfaces.flatMap(({ guest }) => neighboursAdded(network, guest)));
    await this.#writer.sysctls(bridgeSysctls(network));
    const forwarding = await this.#forwarding();
    await this.#writer.rules([...ruleset(network, interfaces), ...closedRules(network.bridge, forwarding)]);
    await this.#writer.sysctls(forwarding.set);
    this.#isUp = true;
  }

  /** The plan in force, or a new one that is stored first: only the first plan has the host's original state. */
  async #forwarding(): Promise<ForwardingPlan> {
    const known = await this.#storedForwarding();
    if (known !== undefined) return known;
    const [interfaces, ways] = await Promise.all([this.#reader.interfaces(), this.#reader.waysOut()]);
    const waysOut = ways.map(({ name }) => name);
    const values = await this.#reader.sysctls(forwardingKeys({ interfaces, waysOut }));
    const { bridge, v6 } = this.network;
    const plan = planForwarding({ values, waysOut, interfaces }, { bridge, withV6: v6 !== undefined });
    await writeFile(this.#forwardingFile, JSON.stringify(plan), { mode: 0o600 });
    return plan;
  }

  async #storedForwarding(): Promise<ForwardingPlan | undefined> {
    const text = await readFile(this.#forwardingFile, "utf8").catch(() => undefined);
    return text === undefined ? undefined : parseForwarding(text);
  }

  async #tearDown(): Promise<void> {
    const { network } = this;
    const forwarding = await this.#storedForwarding();
    if (forwarding !== undefined) await this.#writer.sysctls(forwarding.restore);
    await rm(this.#forwardingFile, { force: true });
    await this.#writer.rules(removeRuleset(network));
    // Strays of an earlier daemon.
    for (const { tap } of await this.#reader.taps(network)) await this.#writer.links(tapRemoved({ tap }));
    if ((await this.#reader.bridgeLabel(network)) !== undefined)
      await this.#writer.links(bridgeRemoved(network));
    this.#isUp = false;
  }
}
