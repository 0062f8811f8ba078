import type { EventStream } from "@paddock/bus";
import type { PlacementContext } from "./sandboxes/placement-context.ts";

/** The parts of the api that handlers use. */
export type ApiContext = PlacementContext & { readonly events: EventStream };
