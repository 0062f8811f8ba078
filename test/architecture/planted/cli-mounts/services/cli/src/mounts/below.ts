import { above } from "../client/above.ts";

export const below = above;
