import { above } from "../record/above.ts";

export const below = above;
