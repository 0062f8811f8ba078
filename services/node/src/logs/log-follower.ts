/**
 * Follows a container's init into its log, for as long as the process runs and over any number of connections.
 *
 * The follower is a holder of the process's output: the guest keeps every byte until it is acknowledged, which happens when the
 * byte is in the file. So the death of the daemon, a broken link or a full disk loses nothing; the next attach continues at the
 * end of the file. The log has a hole, which its offsets show, only if the guest no longer keeps that offset (another client
 * acknowledged more while there was no follower).
 */
import { setTimeout as pause } from "node:timers/promises";
import { hasReason, PaddockError } from "@paddock/domain";
import { AbortRace } from "@paddock/rpc";
import type { AgentLink } from "../agent/agent-link.ts";
import type { AgentClient } from "../agent/connect-agent.ts";
import { attachProcess } from "../agent/process-call.ts";
import { ProcessInputs } from "../agent/process-inputs.ts";
import type { ContainerLog } from "./container-log.ts";
import type { Offsets } from "./log-record.ts";

/** Bytes that may wait to be written to the file. */
const PENDING_BYTES = 1024 * 1024;
const PAUSE_MS = { first: 100, longest: 10_000 };

export type LogFollowerOptions = {
  readonly link: AgentLink;
  readonly containerId: string;
  readonly log: ContainerLog;
  /** A unique name of this start of the container. */
  readonly runId: string;
  /** Called when following fails for a reason other than the link; it is retried. */
  readonly onProblem?: (error: unknown) => void;
};

export class LogFollower {
  /** Settles when the process has exited and all its output is written, or the follower was stopped; never rejects. */
  readonly ended: Promise<void>;
  readonly #options: LogFollowerOptions;
  readonly #stopping = new AbortController();
  readonly #attached = new WeakMap<AgentClient, PromiseWithResolvers<void>>();
  #over = false;

  /** Starts to follow. */
  constructor(options: LogFollowerOptions) {
    this.#options = options;
    this.ended = this.#run();
  }

  /**
   * Settles when the follower holds the output on this connection, or never will. After that, another holder cannot make the
   * guest drop bytes that are not in the log.
   */
  async attached(agent: AgentClient): Promise<void> {
    if (this.#over) return;
    await Promise.race([this.#gate(agent).promise, agent.closed, this.ended]);
  }

  /** Stops following. Settles when nothing more is written. */
  async stop(): Promise<void> {
    this.#stopping.abort(new PaddockError("SHUTTING_DOWN", "the log is no longer followed"));
    await this.ended;
  }

  #gate(agent: AgentClient): PromiseWithResolvers<void> {
    const gate = this.#attached.get(agent) ?? Promise.withResolvers<void>();
    this.#attached.set(agent, gate);
    return gate;
  }

  async #run(): Promise<void> {
    const { link, log, runId, onProblem = () => undefined } = this.#options;
    const { signal } = this.#stopping;
    let pauseMs = PAUSE_MS.first;
    try {
      await log.beginRun(runId);
      while (!signal.aborted) {
        const agent = await link.client({ signal });
        try {
          await this.#follow(agent, log.offsets);
          return;
        } catch (error) {
          this.#gate(agent).resolve();
          if (signal.aborted || hasReason(error, "PROCESS_NOT_FOUND", "CONTAINER_NOT_FOUND")) return;
          if (agent.end !== undefined) continue;
          onProblem(error);
          await pause(pauseMs, undefined, { signal }).catch(() => undefined);
          pauseMs = Math.min(pauseMs * 2, PAUSE_MS.longest);
        }
      }
    } catch (error) {
      // The link or the log was closed, and has reported the cause.
      if (!signal.aborted && !(error instanceof PaddockError)) onProblem(error);
    } finally {
      this.#over = true;
      log.finish();
    }
  }

  /** Follows on one connection, from the end of the file, or from the oldest byte if the guest no longer keeps that offset. */
  async #follow(agent: AgentClient, from: Offsets): Promise<void> {
    try {
      await this.#attach(agent, from);
    } catch (error) {
      if (!hasReason(error, "OFFSET_NOT_HELD")) throw error;
      this.#options.onProblem?.(error);
      await this.#attach(agent, undefined);
    }
  }

  async #attach(agent: AgentClient, from: Offsets | undefined): Promise<void> {
    const { containerId, log } = this.#options;
    const ending = new AbortController();
    const signal = AbortSignal.any([ending.signal, this.#stopping.signal]);
    const inputs = new ProcessInputs();
    const point = { containerId, execId: containerId, ...from };
    const race = new AbortRace(this.#stopping.signal);
    const writing = new Writing(log, inputs);
    try {
      for await (const event of attachProcess(agent, point, { inputs, signal, follower: true })) {
        if (event.kind === "started") this.#gate(agent).resolve();
        if (event.kind === "chunk") await race.run(writing.add(event.stream, event.offset, event.data));
      }
    } finally {
      ending.abort();
      // The next attach begins after the bytes that are still being written.
      await race.run(writing.last);
    }
  }
}

/** Chunks that wait to be written, bounded, and acknowledged when they are in the file. */
class Writing {
  readonly #log: ContainerLog;
  readonly #inputs: ProcessInputs;
  readonly #floor: Offsets;
  #bytes = 0;
  /** Settles with the last write. */
  last: Promise<void> = Promise.resolve();

  constructor(log: ContainerLog, inputs: ProcessInputs) {
    this.#log = log;
    this.#inputs = inputs;
    this.#floor = log.offsets;
  }

  /** Settles when there is room for more. */
  async add(stream: "stdout" | "stderr", offset: number, data: Uint8Array): Promise<void> {
    // A guest that was asked for its oldest byte may begin before the end of the file.
    const known = Math.min(data.length, Math.max(0, this.#floor[stream] - offset));
    const fresh = data.subarray(known);
    if (fresh.length === 0) return;
    this.#bytes += fresh.length;
    this.last = this.#log.append(stream, offset + known, fresh).then(() => {
      this.#bytes -= fresh.length;
      this.#inputs.ack(this.#log.offsets);
    });
    // The log is closed: waiters on it get the error.
    this.last.catch(() => undefined);
    if (this.#bytes >= PENDING_BYTES) await this.last;
  }
}
