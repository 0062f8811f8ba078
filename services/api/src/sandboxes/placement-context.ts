import type { PlacementRegistry } from "@paddock/bus";
import type { NodesContext } from "../nodes/nodes-context.ts";
import type { RegistrySight } from "./registry-sight.ts";

/** What finding and placing sandboxes use. */
export type PlacementContext = NodesContext & {
  readonly placements: PlacementRegistry;
  /** Whether `nodes` and `placements` are complete. Code that lists them, or that takes an unknown id for free, awaits `sight.seen`. */
  readonly sight: RegistrySight;
};
