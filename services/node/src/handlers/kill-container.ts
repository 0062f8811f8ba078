import { PaddockError, parseSignal } from "@paddock/domain";
import type { KillContainerRequest, KillContainerResponse } from "@paddock/protocol";
import type { NodeContext } from "../node-context.ts";
import type { Answer } from "./answer.ts";
import { type Call, permitsContainer } from "./call.ts";

const TIMEOUT_MS = 10_000;

/** Takes no lock: a signal must get through while a stop waits out its grace. */
export async function killContainer(
  ctx: NodeContext,
  { sandboxId, containerId, signal, all }: KillContainerRequest,
  call: Call,
): Promise<Answer<KillContainerResponse>> {
  const number = requireSignal(signal || "SIGKILL");
  const entry = ctx.sandboxes.require(sandboxId);
  if (!permitsContainer(entry, containerId, "kill")) return {};
  const { containers } = await entry.agent.client({ signal: call.signal, deadlineMs: TIMEOUT_MS });
  const options = { signal: call.signal, timeoutMs: TIMEOUT_MS };
  await containers.killContainer({ containerId, signal: number, all }, options);
  return {};
}

/** The number of a signal. Throws INVALID_FIELD. */
export function requireSignal(raw: string): number {
  const number = parseSignal(raw);
  if (number !== undefined) return number;
  throw new PaddockError("INVALID_FIELD", `${JSON.stringify(raw)} is no signal`, {
    violations: [
      { field: "signal", description: 'must be a name such as "SIGTERM" or a number from 1 to 64' },
    ],
  });
}
