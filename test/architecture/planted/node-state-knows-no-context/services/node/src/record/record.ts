import { context } from "../node-context.ts";

export const record = context;
