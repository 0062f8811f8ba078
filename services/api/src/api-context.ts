import type { Bus, EventStream, NodeView, PlacementRegistry } from "@paddock/bus";
import type { Logger } from "@paddock/telemetry";
import type { NodeStreams } from "./nodes/node-streams.ts";
import type { RegistrySight } from "./sandboxes/registry-sight.ts";

/** What handlers use. */
export type ApiContext = {
  readonly bus: Bus;
  readonly nodes: NodeView;
  readonly placements: PlacementRegistry;
  /** Whether `nodes` and `placements` are complete. Code that lists them, or that takes an unknown id for free, awaits `sight.seen`. */
  readonly sight: RegistrySight;
  readonly streams: NodeStreams;
  readonly events: EventStream;
  readonly log: Logger;
  /** Wall clock, in milliseconds since the epoch. */
  readonly now: () => number;
};
