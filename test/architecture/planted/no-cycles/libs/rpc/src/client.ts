import { serve } from "./server.ts";

export const call = (): string => serve();
