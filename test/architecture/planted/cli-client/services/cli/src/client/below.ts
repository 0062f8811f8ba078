import { above } from "../process/above.ts";

export const below = above;
