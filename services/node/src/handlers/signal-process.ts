import type { SignalProcessRequest, SignalProcessResponse } from "@paddock/protocol";
import type { NodeContext } from "../node-context.ts";
import type { Answer } from "./answer.ts";
import { type Call, permitsContainer } from "./call.ts";
import { requireSignal } from "./kill-container.ts";

const TIMEOUT_MS = 10_000;

export async function signalProcess(
  ctx: NodeContext,
  { sandboxId, containerId, execId, signal }: SignalProcessRequest,
  call: Call,
): Promise<Answer<SignalProcessResponse>> {
  const number = requireSignal(signal);
  const entry = ctx.sandboxes.require(sandboxId);
  if (!permitsContainer(entry, containerId, "signal_process")) return {};
  const { processes } = await entry.agent.client({ signal: call.signal, deadlineMs: TIMEOUT_MS });
  const options = { signal: call.signal, timeoutMs: TIMEOUT_MS };
  await processes.signalProcess({ containerId, execId, signal: number }, options);
  return {};
}
