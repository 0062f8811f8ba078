import { above } from "../resources/above.ts";

export const below = above;
