import { readFileSync } from "node:fs";

export const machineId = (): string => readFileSync("/etc/machine-id", "utf8");
