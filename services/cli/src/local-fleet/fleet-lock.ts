/** Lock of a state directory: a file with the identity of the "paddock up" that uses it. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { identify, isAlive } from "@paddock/qemu";
import { CliError } from "../cli-error.ts";

/** Takes the lock and returns the function that releases it. Throws `CliError` when a living process has the lock. */
export function lockFleet(stateDir: string): () => void {
  const path = join(stateDir, "up.lock");
  mkdirSync(stateDir, { recursive: true, mode: 0o711 });
  const mine = JSON.stringify(identify(process.pid));
  for (let attempt = 0; ; attempt += 1) {
    try {
      writeFileSync(path, mine, { flag: "wx", mode: 0o600 });
      return () => rmSync(path, { force: true });
    } catch (error) {
      const isTaken = error instanceof Error && "code" in error && error.code === "EEXIST";
      if (!isTaken) throw error;
      const holder = holderOf(path);
      if (attempt > 0 || (holder && isAlive(holder))) {
        throw new CliError(`another "paddock up" runs in ${stateDir}`, {
          hint: `its pid is ${holder?.pid}`,
        });
      }
      rmSync(path, { force: true });
    }
  }
}

/** Undefined for an incomplete file. */
function holderOf(path: string): ReturnType<typeof identify> {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}
