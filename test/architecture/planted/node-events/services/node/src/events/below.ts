import { above } from "../logs/above.ts";

export const below = above;
