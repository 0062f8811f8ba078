/**
 * Whether this api has seen the registry: it knows all nodes and placements, so that a list is complete and an unknown id is
 * free.
 *
 * The registry has been seen when NATS is connected, both views have received all stored entries, and every node that is up has
 * been asked for its sandboxes, once per registry. After a loss, the new registry counts as another one: the api then waits for
 * the known nodes until they send a heartbeat or count as down.
 */
import type { Bus, NodeRecord, NodeView, PlacementRegistry } from "@paddock/bus";
import { PaddockError } from "@paddock/domain";

export type SightOptions = {
  readonly bus: Bus;
  readonly nodes: NodeView;
  readonly placements: PlacementRegistry;
};

export type Patience = { readonly signal: AbortSignal; readonly deadline?: Date | undefined };

/** No event reports that a node counts as down, so this checks at intervals. */
const LOOK_AGAIN_MS = 1_000;
/** The longest that a call waits. */
const PATIENCE_MS = 10_000;
/** Part of a call's time that is reserved for its answer. */
const MARGIN_MS = 500;

export class RegistrySight implements Disposable {
  readonly #options: SightOptions;
  readonly #forget: readonly (() => void)[];
  readonly #listeners = new Set<() => void>();
  /** The daemon instance of each node that was asked, with the registry that its sandboxes were compared with. */
  readonly #compared = new Map<string, string>();
  #settled: string | undefined;
  #missing: string | undefined = "there is no connection to NATS";
  #timer: NodeJS.Timeout | undefined;

  constructor(options: SightOptions) {
    this.#options = options;
    const look = () => this.look();
    this.#forget = [
      options.bus.onChange(look),
      options.nodes.onChange(look),
      options.placements.onChange(look),
    ];
    this.look();
  }

  /** What is missing, as text; undefined if the registry has been seen. */
  get missing(): string | undefined {
    return this.#missing;
  }

  /** Calls `listener` when `missing` changes. The returned function unsubscribes. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Whether the node's sandboxes were compared, or the comparison failed, since its daemon started and this registry was created.
   */
  isCompared(record: NodeRecord): boolean {
    return this.#compared.get(record.nodeId) === this.#keyOf(record);
  }

  /** Records that a node was asked. A failure counts, too, so that nothing waits forever. */
  compared(record: NodeRecord): void {
    this.#compared.set(record.nodeId, this.#keyOf(record));
    this.look();
  }

  /** Resolves when the registry has been seen. Throws BUS_UNAVAILABLE, with what is missing, shortly before the call's deadline. */
  async seen({ signal, deadline }: Patience): Promise<void> {
    const { bus, nodes } = this.#options;
    if (this.#missing === undefined) return;
    // While NATS is not connected, the last known state is used.
    if (!bus.connected && this.#settled !== undefined && nodes.all().length > 0) return;
    const leftMs = deadline === undefined ? PATIENCE_MS : deadline.getTime() - Date.now() - MARGIN_MS;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, Math.max(0, Math.min(leftMs, PATIENCE_MS)));
    const forget = this.onChange(() => this.#missing === undefined && resolve());
    const onAbort = () => resolve();
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    await promise;
    clearTimeout(timer);
    forget();
    signal.removeEventListener("abort", onAbort);
    signal.throwIfAborted();
    if (this.#missing !== undefined) throw unseen(this.#missing);
  }

  /** Checks again what is missing. */
  look(): void {
    clearTimeout(this.#timer);
    const before = this.#missing;
    this.#missing = this.#look();
    if (this.#missing !== undefined) this.#timer = setTimeout(() => this.look(), LOOK_AGAIN_MS).unref();
    if (before !== this.#missing) for (const listener of this.#listeners) listener();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    for (const forget of this.#forget) forget();
    this.#listeners.clear();
  }

  #look(): string | undefined {
    const { bus, nodes, placements } = this.#options;
    if (!bus.connected) return "there is no connection to NATS";
    if (!nodes.isFilled || !placements.isFilled) return "the registry has not been read yet";
    if (this.#settled === this.#registry()) return undefined;
    const awaited = nodes.awaited();
    if (awaited.length > 0)
      return `the registry was lost, and ${awaited.join(", ")} has not sent a heartbeat since`;
    const unasked = nodes.all().filter((each) => each.liveness === "up" && !this.isCompared(each));
    if (unasked.length > 0)
      return `${unasked.map(({ nodeId }) => nodeId).join(", ")} has not been asked for its sandboxes yet`;
    this.#settled = this.#registry();
    return undefined;
  }

  #registry(): string {
    return `${this.#options.nodes.incarnation} ${this.#options.placements.incarnation}`;
  }

  #keyOf({ heartbeat }: NodeRecord): string {
    return `${heartbeat.daemonInstanceId} ${this.#registry()}`;
  }
}

const unseen = (missing: string) =>
  new PaddockError("BUS_UNAVAILABLE", `this api has not seen the registry: ${missing}`, {
    hint: "check nats-server and its JetStream store, and the node daemons; call again",
    retryAfterMs: 1_000,
  });
