import { setTimeout as delay } from "node:timers/promises";

const PAUSE_MS = 50;
const PATIENCE_MS = 240_000;

/**
 * Calls `isSo` until it returns true. Pauses between two calls: on a busy host, a test that polls without a pause takes the CPU
 * from the VM that it waits for.
 */
export async function until(isSo: () => Promise<boolean> | boolean, what: string): Promise<void> {
  for (const deadline = performance.now() + PATIENCE_MS; performance.now() < deadline; await delay(PAUSE_MS))
    if (await isSo()) return;
  throw new Error(`after ${PATIENCE_MS} ms this is still not so: ${what}`);
}
