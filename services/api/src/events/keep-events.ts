/** Creates the stream of events when it is missing. Nodes publish to it and usually may not create it. */
import { setTimeout as pause } from "node:timers/promises";
import type { EventStream } from "@paddock/bus";

const LOOK_MS = 5_000;

/** Creates the stream if it is missing, at each connect and every 5 s, until `signal` aborts. */
export async function keepEvents(events: EventStream, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    using changed = events.bus.untilChange(signal);
    // A failure is retried. Readers and publishers get the cause.
    if (events.bus.connected) await events.open().catch(() => {});
    await pause(LOOK_MS, undefined, { signal: changed.signal }).catch(() => undefined);
  }
}
