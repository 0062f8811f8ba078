import type { Bus, NodeView } from "@paddock/bus";
import type { Logger } from "@paddock/telemetry";
import type { NodeStreams } from "./node-streams.ts";

/** The parts of the api that calls to nodes use. */
export type NodesContext = {
  readonly bus: Bus;
  readonly nodes: NodeView;
  readonly streams: NodeStreams;
  readonly log: Logger;
  /** Wall clock, in milliseconds since the epoch. */
  readonly now: () => number;
};
