import { above } from "../vm/above.ts";

export const below = above;
