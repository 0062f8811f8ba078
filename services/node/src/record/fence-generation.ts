import { PaddockError } from "@paddock/domain";
import type { SandboxRecord } from "./sandbox-record.ts";

/**
 * Throws STALE_GENERATION when `generation` is smaller than the newest that this node has seen for the sandbox, because a
 * superseded placement must not act any more. 0 means a request without a placement.
 */
export function refuseStale(
  { sandboxId, generation: known }: Pick<SandboxRecord, "sandboxId" | "generation">,
  generation: bigint,
): void {
  if (generation === 0n || generation >= known) return;
  throw new PaddockError("STALE_GENERATION", `sandbox ${sandboxId} has a newer placement`, {
    metadata: { generation: String(generation), known_generation: String(known) },
  });
}
