/** Calls that a failpoint interrupts. */
import assert from "node:assert/strict";
import type { Stack } from "./stack.ts";

/** How a call is interrupted, and the action of the failpoint. */
export const INTERRUPTIONS = [
  ["an error", "fail"],
  ["the daemon's death", "die"],
] as const;

/** Makes a call that is interrupted at `point`. Settles when the daemon has undone the call. */
export async function interrupted(
  stack: Stack,
  point: string,
  action: "fail" | "die",
  call: () => Promise<unknown>,
): Promise<void> {
  const { reached } = await stack.failpoints.arm(point, action);
  const isReached = reached.then(() => true);
  await assert.rejects(call());
  assert.ok(await Promise.race([isReached, Promise.resolve(false)]), `nothing reached ${point}`);
  if (action === "die") await stack.startNode();
}
