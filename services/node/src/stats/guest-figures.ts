/**
 * Reads figures of a guest for any number of readers, with few calls.
 *
 * A client that watches a sandbox of 128 containers every 100 ms needs 1290 readings a second, and so does every further client. Here
 * readings that are requested during a call go into the next call, and equal requests share the answer. So a guest has one call at
 * a time, of 32 containers, and at most 40 a second, however many clients watch.
 */
import { setTimeout as pause } from "node:timers/promises";
import { hasReason, PaddockError } from "@paddock/domain";
import { untilAborted } from "@paddock/lifecycle";
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
  #reading: Promise<void> | undefined;
  #lastMs = Number.NEGATIVE_INFINITY;

  constructor(link: AgentLink) {
    this.#link = link;
  }

  /** The figures of a container. Throws CONTAINER_NOT_FOUND, GUEST_UNAVAILABLE, DEADLINE, or the signal's reason. */
  container(containerId: string, signal: AbortSignal): Promise<agentpb.GetContainerStatsResponse> {
    const wanted = this.#containers.get(containerId) ?? quiet(Promise.withResolvers());
    this.#containers.set(containerId, wanted);
    this.#read();
    return untilAborted(wanted.promise, signal);
  }

  /** The figures of the guest itself. Throws GUEST_UNAVAILABLE, DEADLINE, or the signal's reason. */
  guest(signal: AbortSignal): Promise<agentpb.Guest | undefined> {
    this.#guest ??= quiet(Promise.withResolvers());
    this.#read();
    return untilAborted(this.#guest.promise, signal);
  }

  #read(): void {
    this.#reading ??= this.#readAll().finally(() => {
      this.#reading = undefined;
    });
  }

  async #readAll(): Promise<void> {
    // Requests of the same turn go into one call.
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
    if (!hasReason(error, "GUEST_FAILED")) throw error;
  }
  // The agent of a guest that an earlier daemon booted may not have this call.
  const containers: Told["containers"][number][] = [];
  for (const containerId of containerIds) {
    const figures = await client.containers
      .getContainerStats({ containerId }, options)
      .catch((error: unknown) => {
        if (hasReason(error, "CONTAINER_NOT_FOUND")) return undefined;
        throw error;
      });
    if (figures !== undefined) containers.push({ containerId, figures });
  }
  return { containers, guest: withGuest ? (await client.sandbox.getGuest({}, options)).guest : undefined };
}

const absent = (id: string): PaddockError =>
  new PaddockError("CONTAINER_NOT_FOUND", `the guest has no container ${id}`);

/** A failure also rejects the promise of a reader that has left, which nothing handles. */
function quiet<T>(wanted: Wanted<T>): Wanted<T> {
  wanted.promise.catch(() => undefined);
  return wanted;
}

/** One reader for each guest, whose link lives as long as its VM. */
const READERS = new WeakMap<AgentLink, GuestFigures>();

/** The reader of the figures of a link's guest. */
export function guestFigures(link: AgentLink): GuestFigures {
  const reader = READERS.get(link) ?? new GuestFigures(link);
  READERS.set(link, reader);
  return reader;
}
