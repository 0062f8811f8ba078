import { setTimeout as delay } from "node:timers/promises";

const PAUSE_MS = 50;
const PATIENCE_MS = 240_000;

/**
 * Asks until the answer is yes. Between two questions it pauses: on a busy host, a test that asks without a pause takes the CPU
 * from the VM that it waits for.
 */
export async function until(isSo: () => Promise<boolean> | boolean, what: string): Promise<void> {
  for (const deadline = performance.now() + PATIENCE_MS; performance.now() < deadline; await delay(PAUSE_MS))
    if (await isSo()) return;
  throw new Error(`after ${PATIENCE_MS} ms this is still not so: ${what}`);
}
