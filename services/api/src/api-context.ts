import type { EventStream } from "@paddock/bus";
import type { PlacementContext } from "./sandboxes/placement-context.ts";

/** What handlers use. */
export type ApiContext = PlacementContext & { readonly events: EventStream };
