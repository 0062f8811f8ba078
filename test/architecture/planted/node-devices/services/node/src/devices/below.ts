import { above } from "../wire/above.ts";

export const below = above;
