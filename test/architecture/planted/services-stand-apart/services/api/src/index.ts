import { daemon } from "../../node/src/index.ts";

export const started = daemon;
