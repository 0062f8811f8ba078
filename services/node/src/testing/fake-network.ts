import { formatAddress, NetworkError, type PeerPair, planNetwork } from "@paddock/network";
import type { Connection } from "../network/host-network.ts";
import type { Refused } from "../network/refused.ts";
import type { NetworkOfHost } from "../node-context.ts";

/** A network in memory. Like the real one, it outlives a daemon. */
export class FakeNetwork implements NetworkOfHost {
  readonly network = planNetwork({ bridge: "paddock0", mtu: 1400, v4: "10.88.0.0/24", v6: "fd70:88::/64" });
  readonly resolver = { nameservers: ["192.0.2.53"], searches: [] };
  /** Connected interfaces, by tap. */
  readonly connected = new Map<string, Connection>();
  /** Called before an interface is connected; may throw or never settle. */
  onConnect: () => Promise<void> = async () => undefined;
  /** The same before an interface is disconnected. */
  onDisconnect: () => Promise<void> = async () => undefined;
  /** The interfaces that the last daemon restored. */
  restored: readonly string[] = [];

  /** Reported for every interface. */
  refusedNow: Refused = { packets: [], refused: 0, forged: 0 };

  async restore(connections: readonly Connection[]): Promise<void> {
    this.restored = connections.map(({ rules }) => rules.guest.tap);
  }

  async connect(connection: Connection): Promise<void> {
    await this.onConnect();
    this.connected.set(connection.rules.guest.tap, connection);
  }

  async change(before: Connection, after: Connection): Promise<void> {
    if (!this.connected.has(before.rules.guest.tap)) throw new NetworkError("refused", "no such interface");
    this.connected.set(after.rules.guest.tap, after);
  }

  async disconnect({ rules }: Pick<Connection, "rules">): Promise<void> {
    await this.onDisconnect();
    this.connected.delete(rules.guest.tap);
  }

  /** The consents in force, as "from to". */
  readonly consents = new Set<string>();

  async join(pairs: readonly PeerPair[]): Promise<void> {
    for (const { from, to } of pairs) this.consents.add(`${formatAddress(from)} ${formatAddress(to)}`);
  }

  async part(pairs: readonly PeerPair[]): Promise<void> {
    for (const { from, to } of pairs) this.consents.delete(`${formatAddress(from)} ${formatAddress(to)}`);
  }

  async owners(): Promise<readonly string[]> {
    return [...this.connected.values()].map(({ owner }) => owner);
  }

  async refused(): Promise<Refused> {
    return this.refusedNow;
  }

  async counters() {
    return new Map();
  }

  async drop(owner: string): Promise<void> {
    for (const [tap, connection] of this.connected)
      if (connection.owner === owner) this.connected.delete(tap);
  }
}
