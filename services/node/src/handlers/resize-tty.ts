import { PaddockError } from "@paddock/domain";
import type { ResizeTtyRequest, ResizeTtyResponse } from "@paddock/protocol";
import type { NodeContext } from "../node-context.ts";
import type { Answer } from "./answer.ts";
import { type Call, permitsContainer } from "./call.ts";

const TIMEOUT_MS = 10_000;

export async function resizeTty(
  ctx: NodeContext,
  { sandboxId, containerId, execId, size }: ResizeTtyRequest,
  call: Call,
): Promise<Answer<ResizeTtyResponse>> {
  if (size === undefined) throw new PaddockError("INVALID_FIELD", "size must be set");
  const entry = ctx.sandboxes.require(sandboxId);
  if (!permitsContainer(entry, containerId, "resize_tty")) return {};
  const { processes } = await entry.agent.client({ signal: call.signal, deadlineMs: TIMEOUT_MS });
  const request = { containerId, execId, size: { rows: size.rows, columns: size.columns } };
  await processes.resizeTty(request, { signal: call.signal, timeoutMs: TIMEOUT_MS });
  return {};
}
