import { above } from "../archive/above.ts";

export const below = above;
