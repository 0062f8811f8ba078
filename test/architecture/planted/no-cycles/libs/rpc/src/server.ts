import { call } from "./client.ts";

export const serve = (): string => call();
