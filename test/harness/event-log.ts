/** Follows the events of the fleet, or of one sandbox, over any number of broken watches, and keeps them. */
import type { Event } from "@paddock/protocol";
import type { PaddockClient } from "./stack.ts";

export class EventLog implements AsyncDisposable {
  readonly events: Event[] = [];
  /** Token of the last response. */
  token: string;
  readonly #stop = new AbortController();
  readonly #following: Promise<void>;
  #changed = Promise.withResolvers<void>();
  #failure: unknown;

  /** Starts after a token. Settles with the first response if there is none. */
  static async start(
    client: PaddockClient,
    options: { token?: string; sandboxId?: string } = {},
  ): Promise<EventLog> {
    const log = new EventLog(client, options.token ?? "", options.sandboxId ?? "");
    await log.#until(() => log.token !== "");
    return log;
  }

  private constructor(client: PaddockClient, token: string, sandboxId: string) {
    this.token = token;
    this.#following = this.#follow(client, sandboxId).catch((error: unknown) => {
      this.#failure = error;
      this.#wake();
    });
  }

  /** The first event that `accept` matches, past or future. Throws if none comes within 60 s. */
  async find(accept: (event: Event) => boolean): Promise<Event> {
    await this.#until(() => this.events.some(accept));
    const found = this.events.find(accept);
    if (found === undefined) throw new Error("the event that was just found is missing");
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#following;
  }

  async #follow(client: PaddockClient, sandboxId: string): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        for await (const { event, resumeToken } of client.events.watch(
          { resumeToken: this.token, sandboxId },
          { signal },
        )) {
          if (event !== undefined) this.events.push(event);
          this.token = resumeToken;
          this.#wake();
        }
      } catch (error) {
        const isOver = error instanceof Error && "kind" in error && error.kind === "unavailable";
        if (!signal.aborted && !isOver) throw error;
      }
    }
  }

  async #until(accept: () => boolean): Promise<void> {
    const late = AbortSignal.timeout(60_000);
    const gone = new Promise((resolve) => late.addEventListener("abort", resolve, { once: true }));
    while (!accept()) {
      if (this.#failure !== undefined) throw this.#failure;
      if (late.aborted) throw new Error(`the event did not come; there are ${this.events.length} events`);
      await Promise.race([this.#changed.promise, gone]);
    }
  }

  #wake(): void {
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers();
    resolve();
  }
}
