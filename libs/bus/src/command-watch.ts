/**
 * Finds out whether a node still works on a command.
 *
 * NATS reports when no node subscribes as a command is sent, but not when the node dies afterwards: the caller would wait until
 * its deadline. So while a command takes long, its node is asked once a second whether it works on it. No subscriber means that
 * the daemon or its connection is gone. "No" means that another daemon has started since. (A response that was sent before has
 * arrived by then, because the bus keeps the order of one sender.) A node that does not answer may be busy or frozen; then its
 * heartbeats decide. A heartbeat of another daemon only triggers a question, because the command may have reached that daemon
 * already.
 */
import { NoRespondersError } from "@nats-io/transport-node";
import type { Bus } from "./bus.ts";
import type { NodeView } from "./node-registry.ts";
import { runningSubject } from "./subjects.ts";

/** Pause between two questions, and time for an answer, in milliseconds. */
const ASK_EVERY_MS = 1_000;
/** Questions in a row without a subscriber before the daemon counts as gone: its connection may be about to return. */
const MAX_UNHEARD = 2;

/** The answers of a node. */
export const RUNNING = "running";
export const NOT_RUNNING = "not running";

export type WatchedCommand = {
  readonly nodeId: string;
  readonly commandId: string;
  /** Heartbeats of the nodes. Without them the caller waits for a node that is connected and silent. */
  readonly nodes?: NodeView | undefined;
};

/** Calls `onLost` once, with the reason, when no daemon works on the command any more. */
export class CommandWatch implements Disposable {
  readonly #bus: Bus;
  readonly #command: WatchedCommand;
  readonly #onLost: (why: string) => void;
  readonly #forget: () => void;
  #timer: NodeJS.Timeout;
  #instance: string | undefined;
  #unheard = 0;
  #asking = false;
  #over = false;

  constructor(bus: Bus, command: WatchedCommand, onLost: (why: string) => void) {
    this.#bus = bus;
    this.#command = command;
    this.#onLost = onLost;
    this.#instance = this.#daemon();
    this.#forget = command.nodes?.onChange(() => this.#heartbeat()) ?? (() => {});
    this.#timer = setTimeout(() => void this.#ask(), ASK_EVERY_MS);
  }

  [Symbol.dispose](): void {
    this.#over = true;
    clearTimeout(this.#timer);
    this.#forget();
  }

  #daemon(): string | undefined {
    return this.#command.nodes?.get(this.#command.nodeId)?.heartbeat.daemonInstanceId;
  }

  #heartbeat(): void {
    const instance = this.#daemon();
    if (instance === this.#instance) return;
    this.#instance = instance;
    void this.#ask();
  }

  async #ask(): Promise<void> {
    if (this.#asking || this.#over) return;
    this.#asking = true;
    clearTimeout(this.#timer);
    const why = await this.#lostBecause();
    this.#asking = false;
    if (this.#over) return;
    if (why === undefined) {
      this.#timer = setTimeout(() => void this.#ask(), ASK_EVERY_MS);
      return;
    }
    this[Symbol.dispose]();
    this.#onLost(why);
  }

  async #lostBecause(): Promise<string | undefined> {
    const { nodeId, commandId, nodes } = this.#command;
    if (nodes?.get(nodeId)?.liveness === "down") return "it has stopped sending heartbeats";
    // The loss of this process's own connection already fails the caller.
    if (!this.#bus.connected) return undefined;
    try {
      const options = { timeout: ASK_EVERY_MS };
      const answer = await this.#bus.connection().request(runningSubject(nodeId), commandId, options);
      this.#unheard = 0;
      return answer.string() === NOT_RUNNING ? "its daemon has restarted" : undefined;
    } catch (error) {
      if (!isUnheard(error)) return undefined;
      this.#unheard += 1;
      return this.#unheard < MAX_UNHEARD ? undefined : "its daemon is gone";
    }
  }
}

function isUnheard(error: unknown): boolean {
  for (let each = error; each instanceof Error; each = each.cause) {
    if (each instanceof NoRespondersError) return true;
  }
  return false;
}
