import { above } from "../ports/above.ts";

export const below = above;
