import { gone } from "./gone.ts";

export const log = gone;
