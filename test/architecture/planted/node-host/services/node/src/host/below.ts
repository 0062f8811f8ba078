import { above } from "../limits/above.ts";

export const below = above;
