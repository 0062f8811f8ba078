/**
 * The logs of all containers of the node, with their followers and readers.
 *
 * A log is open while its container is followed or it is read. There is one object for each log, so that readers see what the
 * writer has committed. Files are in the sandbox's directory and are removed with it; `remove` is for a container that is
 * deleted while its sandbox exists.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { settlesWithin } from "@paddock/lifecycle";
import type { AgentClient } from "../agent/connect-agent.ts";
import { logLimitsOf } from "../record/log-limits.ts";
import { containerOf, machineOf, type SandboxRecord } from "../record/sandbox-record.ts";
import type { LiveSandbox } from "../sandboxes/live-sandbox.ts";
import { ContainerLog } from "./container-log.ts";
import { LogFollower } from "./log-follower.ts";

/** A problem of a log; `problem` is undefined when writes succeed again. */
export type LogTrouble = {
  readonly sandboxId: string;
  readonly containerId: string;
  readonly problem: unknown;
};

/** An open log; dispose of it after reading. */
export type OpenLog = AsyncDisposable & { readonly log: ContainerLog };

type Entry = {
  readonly opening: Promise<ContainerLog>;
  follower: Promise<LogFollower | undefined> | undefined;
  users: number;
};

export class LogBook implements AsyncDisposable {
  readonly #entries = new Map<string, Entry>();
  readonly #onTrouble: (trouble: LogTrouble) => void;

  constructor(onTrouble: (trouble: LogTrouble) => void = () => undefined) {
    this.#onTrouble = onTrouble;
  }

  /** Follows the init of a container in the guest, new or found after a restart of the daemon. Never throws. */
  follow(sandbox: LiveSandbox, containerId: string): void {
    const { sandboxId, record } = sandbox;
    const trouble = (problem: unknown) => this.#onTrouble({ sandboxId, containerId, problem });
    try {
      const { link } = sandbox;
      const entry = this.#entry(sandbox, containerId);
      const before = entry.follower;
      entry.follower = (async () => {
        await (await before)?.stop();
        const log = await entry.opening;
        return new LogFollower({
          link,
          containerId,
          log,
          runId: runOf(record, containerId),
          onProblem: trouble,
        });
      })().catch((error: unknown) => {
        trouble(error);
        return undefined;
      });
    } catch (error) {
      trouble(error);
    }
  }

  /** Stops following, after the VM has ended or the container was deleted. Settles when nothing more is written. */
  async stop(sandboxId: string, containerId: string): Promise<void> {
    const key = keyOf(sandboxId, containerId);
    const entry = this.#entries.get(key);
    const follower = await entry?.follower;
    await follower?.stop();
    if (entry === undefined) return;
    entry.follower = undefined;
    await this.#release(key, entry);
  }

  /**
   * Settles when the container's output is held for its log on this connection, or is not followed at all, but at the latest
   * after `patienceMs`: a log whose disk is full must not delay clients.
   */
  async held(sandboxId: string, containerId: string, agent: AgentClient, patienceMs = 1000): Promise<void> {
    const follower = this.#entries.get(keyOf(sandboxId, containerId))?.follower;
    if (follower === undefined) return;
    const attached = follower.then((each) => each?.attached(agent));
    await settlesWithin(attached, patienceMs);
  }

  /** Opens a container's log, which may be empty, for reading. */
  async open(sandbox: LiveSandbox, containerId: string): Promise<OpenLog> {
    const key = keyOf(sandbox.sandboxId, containerId);
    const entry = this.#entry(sandbox, containerId);
    entry.users += 1;
    const dispose = async () => {
      entry.users -= 1;
      await this.#release(key, entry);
    };
    try {
      return { log: await entry.opening, [Symbol.asyncDispose]: dispose };
    } catch (error) {
      await dispose();
      throw error;
    }
  }

  /** Stops following, and removes the files. Readers reach the end of the log. */
  async remove(sandbox: LiveSandbox, containerId: string): Promise<void> {
    await this.stop(sandbox.sandboxId, containerId);
    await rm(join(sandbox.paths.logDir, containerId), { recursive: true, force: true });
  }

  /** Closes all logs. Processes continue, and the next daemon follows them from the end of the files. */
  async [Symbol.asyncDispose](): Promise<void> {
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    await Promise.all(entries.map(closed));
  }

  #entry(sandbox: LiveSandbox, containerId: string): Entry {
    const key = keyOf(sandbox.sandboxId, containerId);
    const known = this.#entries.get(key);
    if (known !== undefined) return known;
    const { sandboxId, record, paths } = sandbox;
    const opening = ContainerLog.open({
      // Container ids have no slash and do not begin with a dot.
      directory: join(paths.logDir, containerId),
      limits: logLimitsOf(containerOf(record, containerId)?.spec.log),
      onProblem: (problem) => this.#onTrouble({ sandboxId, containerId, problem }),
    });
    opening.catch(() => undefined);
    const entry: Entry = { opening, follower: undefined, users: 0 };
    this.#entries.set(key, entry);
    return entry;
  }

  async #release(key: string, entry: Entry): Promise<void> {
    if (entry.users > 0 || entry.follower !== undefined) return;
    if (this.#entries.get(key) === entry) this.#entries.delete(key);
    await closed(entry);
  }
}

async function closed(entry: Entry): Promise<void> {
  await (await entry.follower)?.stop();
  await entry.opening.then(
    (log) => log.close(),
    () => undefined,
  );
}

/** Ids contain no slash. */
const keyOf = (sandboxId: string, containerId: string): string => `${sandboxId}/${containerId}`;

/** A unique name for this start of the container: its machine, the time of its creation, and the start attempt number. */
function runOf(record: SandboxRecord, containerId: string): string {
  const machine = machineOf(record);
  const { createdAtMs = 0, restarts = 0 } = containerOf(record, containerId) ?? {};
  const first = `${machine?.bootId}/${machine?.pid}/${machine?.startTicks}/${createdAtMs}`;
  return restarts === 0 ? first : `${first}/${restarts}`;
}
