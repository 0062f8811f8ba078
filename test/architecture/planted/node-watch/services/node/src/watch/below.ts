import { above } from "../lifecycle/above.ts";

export const below = above;
