import { above } from "../events/above.ts";

export const below = above;
