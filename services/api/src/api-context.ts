import type { Bus, EventStream, NodeView, PlacementRegistry } from "@paddock/bus";
import type { Logger } from "@paddock/telemetry";
import type { NodeStreams } from "./nodes/node-streams.ts";

/** What handlers work with. */
export type ApiContext = {
  readonly bus: Bus;
  readonly nodes: NodeView;
  readonly placements: PlacementRegistry;
  readonly streams: NodeStreams;
  readonly events: EventStream;
  readonly log: Logger;
  /** Wall clock, in milliseconds since the epoch. */
  readonly now: () => number;
};
