import { above } from "../streams/above.ts";

export const below = above;
