import { above } from "../recovery/above.ts";

export const below = above;
