import type { PlacementRegistry } from "@paddock/bus";
import type { NodesContext } from "../nodes/nodes-context.ts";
import type { RegistrySight } from "./registry-sight.ts";

/** The parts of the api that find and place sandboxes. */
export type PlacementContext = NodesContext & {
  readonly placements: PlacementRegistry;
  /**
   * Whether `nodes` and `placements` are complete. Code that lists them, or that treats an unknown id as free, awaits
   * `sight.seen`.
   */
  readonly sight: RegistrySight;
};
