import { daemon } from "@paddock/node-daemon";

export const started = daemon;
