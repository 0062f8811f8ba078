import { above } from "../local-fleet/above.ts";

export const below = above;
