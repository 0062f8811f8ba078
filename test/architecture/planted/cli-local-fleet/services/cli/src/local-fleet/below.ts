import { above } from "../doctor/above.ts";

export const below = above;
