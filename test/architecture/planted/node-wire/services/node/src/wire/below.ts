import { above } from "../store/above.ts";

export const below = above;
