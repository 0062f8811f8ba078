/**
 * Reports this node to the fleet's registry: every 5 s, soon after its allocation changes, and at once on each connection,
 * because the registry may have lost its entry.
 */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Bus, HEARTBEAT_INTERVAL_MS, putHeartbeat } from "@paddock/bus";
import type { Amount } from "@paddock/domain";
import { NodeState, nodepb } from "@paddock/protocol";
import type { NodeContext } from "./node-context.ts";

/** The parts of a heartbeat that do not change while the daemon runs. */
export type HeartbeatFacts = {
  readonly streamAddress: string;
  readonly daemonInstanceId: string;
  readonly node: {
    readonly version: string;
    readonly qemuVersion: string;
    readonly guestKernel: string;
    readonly labels: Readonly<Record<string, string>>;
  };
};

/** Changes within this time are reported together. */
const COALESCE_MS = 50;
/** Pause after a failed heartbeat: heartbeats refill a registry that was lost. */
const RETRY_MS = 1_000;

export class Heartbeat implements Disposable {
  readonly #bus: Bus;
  readonly #ctx: NodeContext;
  readonly #facts: HeartbeatFacts;
  #timer: NodeJS.Timeout | undefined;
  #sequence = 0n;
  #told = "";
  #stopped = false;
  #beating = false;
  #failing = false;
  readonly #forget: () => void;

  constructor(bus: Bus, ctx: NodeContext, facts: HeartbeatFacts) {
    this.#bus = bus;
    this.#ctx = ctx;
    this.#facts = facts;
    this.#forget = bus.onChange((connected) => {
      if (connected && this.#sequence > 0n) this.#schedule(0);
    });
  }

  /** Sends the first heartbeat, and further ones until disposed of. */
  async start(): Promise<void> {
    await this.#beat();
  }

  /** Called when a change may concern placement. */
  changed(): void {
    if (this.#stopped || this.#sequence === 0n || this.#allocation() === this.#told) return;
    this.#schedule(COALESCE_MS);
  }

  [Symbol.dispose](): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#forget();
  }

  #schedule(ms: number): void {
    clearTimeout(this.#timer);
    if (!this.#stopped) this.#timer = setTimeout(() => void this.#beat(), ms);
  }

  async #beat(): Promise<void> {
    if (this.#beating) return;
    this.#beating = true;
    this.#told = this.#allocation();
    this.#sequence += 1n;
    try {
      await putHeartbeat(this.#bus, this.#message());
      if (this.#failing) this.#ctx.log.info({}, "heartbeats are delivered again");
      this.#failing = false;
    } catch (error) {
      // Logged once for each outage.
      if (!this.#failing) this.#ctx.log.warn({ err: error }, "heartbeats cannot be delivered, trying again");
      this.#failing = true;
    } finally {
      this.#beating = false;
      this.#schedule(this.#pauseMs());
    }
  }

  #pauseMs(): number {
    if (this.#failing) return RETRY_MS;
    return this.#allocation() === this.#told ? HEARTBEAT_INTERVAL_MS : COALESCE_MS;
  }

  #allocation(): string {
    const { milliCpus, memoryBytes, diskBytes } = this.#ctx.sandboxes.allocated();
    return `${milliCpus}/${memoryBytes}/${diskBytes}/${this.#ctx.sandboxes.size}`;
  }

  #message(): nodepb.Heartbeat {
    const { nodeId, capacity, isolation, sandboxes, nowMs } = this.#ctx;
    const { node, ...facts } = this.#facts;
    return create(nodepb.HeartbeatSchema, {
      ...facts,
      node: {
        ...node,
        labels: { ...node.labels },
        nodeId,
        state: NodeState.UP,
        capacity: wireAmount(capacity),
        allocated: wireAmount(sandboxes.allocated()),
        isolation,
        heartbeatAt: timestampFromMs(nowMs()),
        sandboxes: sandboxes.size,
      },
      sequence: this.#sequence,
    });
  }
}

const wireAmount = ({ milliCpus, memoryBytes, diskBytes }: Amount) => ({
  milliCpus: BigInt(milliCpus),
  memoryBytes: BigInt(memoryBytes),
  diskBytes: BigInt(diskBytes),
});
