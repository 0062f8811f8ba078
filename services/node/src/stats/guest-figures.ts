/**
 * Reads figures of a guest for any number of readers, with few calls.
 *
 * Whoever watches a sandbox of 128 containers every 100 ms wants 1290 readings a second, and so does the next one who watches it. Here
 * what is asked for while a call is under way goes into the next one, and whoever asks for what is asked for already shares the
 * answer. So a guest has one call at a time, of 32 containers, and no more than 40 in a second, however many watch.
 */
import { setTimeout as pause } from "node:timers/promises";
import { PaddockError } from "@paddock/domain";
import type { agentpb } from "@paddock/protocol";
import type { AgentLink } from "../agent/agent-link.ts";
import type { AgentClient } from "../agent/connect-agent.ts";

const CONTAINERS_PER_CALL = 32;
/** Time from one call to the next, in ms. */
const CALL_EVERY_MS = 25;
const PATIENCE_MS = 5000;

type Wanted<T> = PromiseWithResolvers<T>;

export class GuestFigures {
  readonly #link: AgentLink;
  readonly #containers = new Map<string, Wanted<agentpb.GetContainerStatsResponse>>();
  #guest: Wanted<agentpb.Guest | undefined> | undefined;
  #reading = false;
  #lastMs = Number.NEGATIVE_INFINITY;

  constructor(link: AgentLink) {
    this.#link = link;
  }

  /** The figures of a container. Throws CONTAINER_NOT_FOUND, GUEST_UNAVAILABLE, DEADLINE, or the signal's reason. */
  container(containerId: string, signal: AbortSignal): Promise<agentpb.GetContainerStatsResponse> {
    const wanted = this.#containers.get(containerId) ?? quiet(Promise.withResolvers());
    this.#containers.set(containerId, wanted);
    this.#read();
    return unless(signal, wanted.promise);
  }

  /** The guest's own. Throws GUEST_UNAVAILABLE, DEADLINE, or the signal's reason. */
  guest(signal: AbortSignal): Promise<agentpb.Guest | undefined> {
    this.#guest ??= quiet(Promise.withResolvers());
    this.#read();
    return unless(signal, this.#guest.promise);
  }

  #read(): void {
    if (this.#reading) return;
    this.#reading = true;
    void this.#readAll().finally(() => {
      this.#reading = false;
    });
  }

  async #readAll(): Promise<void> {
    // What is asked for in the same turn goes together.
    await pause(Math.max(0, this.#lastMs + CALL_EVERY_MS - performance.now()));
    while (this.#containers.size > 0 || this.#guest !== undefined) {
      this.#lastMs = performance.now();
      const wanted = new Map([...this.#containers].slice(0, CONTAINERS_PER_CALL));
      for (const id of wanted.keys()) this.#containers.delete(id);
      const guest = this.#guest;
      this.#guest = undefined;
      await this.#call(wanted, guest);
      await pause(Math.max(0, this.#lastMs + CALL_EVERY_MS - performance.now()));
    }
  }

  async #call(
    wanted: ReadonlyMap<string, Wanted<agentpb.GetContainerStatsResponse>>,
    guest: Wanted<agentpb.Guest | undefined> | undefined,
  ): Promise<void> {
    try {
      const client = await this.#link.client({ deadlineMs: PATIENCE_MS });
      const told = await ask(client, [...wanted.keys()], guest !== undefined);
      guest?.resolve(told.guest);
      const figures = new Map(told.containers.map((each) => [each.containerId, each.figures]));
      for (const [id, { resolve, reject }] of wanted) {
        const found = figures.get(id);
        if (found === undefined) reject(absent(id));
        else resolve(found);
      }
    } catch (error) {
      guest?.reject(error);
      for (const { reject } of wanted.values()) reject(error);
    }
  }
}

type Told = {
  readonly containers: readonly Pick<agentpb.ContainerFigures, "containerId" | "figures">[];
  readonly guest?: agentpb.Guest | undefined;
};

async function ask(client: AgentClient, containerIds: readonly string[], withGuest: boolean): Promise<Told> {
  const options = { timeoutMs: PATIENCE_MS };
  try {
    return await client.containers.listContainerStats(
      { containerIds: [...containerIds], withGuest },
      options,
    );
  } catch (error) {
    if (!(error instanceof PaddockError) || error.reason !== "GUEST_FAILED") throw error;
  }
  // A guest that was booted by an earlier daemon has an agent that knows no lists.
  const containers: Told["containers"][number][] = [];
  for (const containerId of containerIds) {
    const figures = await client.containers
      .getContainerStats({ containerId }, options)
      .catch((error: unknown) => {
        if (error instanceof PaddockError && error.reason === "CONTAINER_NOT_FOUND") return undefined;
        throw error;
      });
    if (figures !== undefined) containers.push({ containerId, figures });
  }
  return { containers, guest: withGuest ? (await client.sandbox.getGuest({}, options)).guest : undefined };
}

/** What `work` settles as, or the signal's reason as soon as it aborts. */
async function unless<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  return await Promise.race([work, promise]).finally(() => signal.removeEventListener("abort", onAbort));
}

const absent = (id: string): PaddockError =>
  new PaddockError("CONTAINER_NOT_FOUND", `the guest has no container ${id}`);

/** A reader who has left is told of a failure all the same, and nobody listens. */
function quiet<T>(wanted: Wanted<T>): Wanted<T> {
  wanted.promise.catch(() => undefined);
  return wanted;
}

/** One reader for each guest: its link is made with the VM and goes with it. */
const READERS = new WeakMap<AgentLink, GuestFigures>();

/** What reads the figures of a link's guest. */
export function guestFigures(link: AgentLink): GuestFigures {
  const reader = READERS.get(link) ?? new GuestFigures(link);
  READERS.set(link, reader);
  return reader;
}
