import { above } from "../handlers/above.ts";

export const below = above;
