/** Keeps the stream of events in existence. Nodes publish to it and usually may not create it. */
import type { Bus, EventStream } from "@paddock/bus";

const LOOK_MS = 5_000;

/** Creates the stream if it is missing, at each connect and every 5 s, until `signal` aborts. */
export function keepEvents(events: EventStream, bus: Bus, signal: AbortSignal): void {
  const look = () => {
    // A failure is tried again. Readers and publishers are told the cause.
    if (bus.connected) events.open().catch(() => {});
  };
  const forget = bus.onChange(look);
  const timer = setInterval(look, LOOK_MS);
  look();
  signal.addEventListener(
    "abort",
    () => {
      forget();
      clearInterval(timer);
    },
    { once: true },
  );
}
