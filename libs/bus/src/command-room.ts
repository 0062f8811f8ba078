/**
 * Limits the commands that a node runs at the same time.
 *
 * Each of three kinds has its own limit, so that no kind blocks another: "changes" may wait minutes for a lock or a boot, and
 * "controls" (stop, kill, delete, pause) and "reads" are needed most in that time. One sandbox may use only a part of each limit,
 * so that commands that wait for it do not block those for other sandboxes.
 */
import { PaddockError } from "@paddock/domain";

export type CommandKind = "reads" | "controls" | "changes";

export type CommandLimits = {
  /** The most commands of one kind. */
  readonly perKind: number;
  /** The most of these about one sandbox. */
  readonly perSandbox: number;
};

/** Counts the commands that run. */
export class CommandRoom {
  readonly #nodeId: string;
  readonly #limits: CommandLimits;
  readonly #counts = new Map<string, number>();

  constructor(nodeId: string, limits: CommandLimits) {
    this.#nodeId = nodeId;
    this.#limits = limits;
  }

  /**
   * Takes room for a command. The returned function releases it. `sandboxId` is empty if the command is not about a sandbox.
   * Throws TOO_MANY.
   */
  take(kind: CommandKind, sandboxId: string): () => void {
    const { perKind, perSandbox } = this.#limits;
    const ofKind = { key: kind, limit: perKind, of: `node ${this.#nodeId}` };
    // No id contains a blank.
    const ofSandbox = { key: `${kind} ${sandboxId}`, limit: perSandbox, of: `sandbox ${sandboxId}` };
    const shares = sandboxId === "" ? [ofKind] : [ofSandbox, ofKind];
    for (const { key, limit, of } of shares)
      if ((this.#counts.get(key) ?? 0) >= limit) throw tooMany(of, kind, limit, sandboxId, this.#nodeId);
    for (const { key } of shares) this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
    return () => {
      for (const { key } of shares) {
        const left = (this.#counts.get(key) ?? 0) - 1;
        if (left > 0) this.#counts.set(key, left);
        else this.#counts.delete(key);
      }
    };
  }
}

const WORDS: Readonly<Record<CommandKind, string>> = {
  reads: "reads",
  controls: "calls that stop, kill, delete or pause",
  changes: "changes",
};

const tooMany = (of: string, kind: CommandKind, limit: number, sandboxId: string, nodeId: string) =>
  new PaddockError("TOO_MANY", `${limit} ${WORDS[kind]} of ${of} are already in progress`, {
    hint:
      sandboxId === ""
        ? "call again when some of them have ended"
        : "see the status of the sandbox for what they wait for; call again when some of them have ended",
    metadata: {
      node_id: nodeId,
      limit: String(limit),
      ...(sandboxId === "" ? {} : { sandbox_id: sandboxId }),
    },
    retryAfterMs: 500,
  });
