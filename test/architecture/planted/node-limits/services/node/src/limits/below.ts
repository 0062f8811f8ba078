import { above } from "../host/above.ts";

export const below = above;
