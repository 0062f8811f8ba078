import { exec } from "../handlers/exec.ts";

export const proxyProcess = exec;
