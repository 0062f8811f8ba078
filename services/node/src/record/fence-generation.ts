import { PaddockError } from "@paddock/domain";
import type { SandboxRecord } from "./sandbox-record.ts";

/**
 * A placement that was superseded must not act any more: throws STALE_GENERATION when `generation` is smaller than the newest that
 * this node has seen of the sandbox. 0 is a request of no placement.
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
