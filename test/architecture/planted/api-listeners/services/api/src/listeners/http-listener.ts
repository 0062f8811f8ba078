import { exec } from "../handlers/exec.ts";

export const httpListener = exec;
