/** The stream of events exists: nodes publish into it and, as a rule, may not make it. */
import type { Bus, EventStream } from "@paddock/bus";

const LOOK_MS = 5_000;

/** Makes the stream when it is missing, at each connect and every 5 s, until `signal` aborts. */
export function keepEvents(events: EventStream, bus: Bus, signal: AbortSignal): void {
  const look = () => {
    // What cannot be made now is tried again; who reads or publishes is told why.
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
