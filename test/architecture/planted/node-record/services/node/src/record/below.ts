import { context } from "../node-context.ts";

export const below = context;
