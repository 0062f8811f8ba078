import { httpListener } from "../listeners/http-listener.ts";

export const exec = httpListener;
