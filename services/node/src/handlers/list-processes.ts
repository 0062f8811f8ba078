import type { ListProcessesRequest, ListProcessesResponse } from "@paddock/protocol";
import type { NodeContext } from "../node-context.ts";
import { processEntries } from "../stats/process-entry.ts";
import type { Answer } from "./answer.ts";
import { type Call, permitsContainer } from "./call.ts";

const TIMEOUT_MS = 10_000;

export async function listProcesses(
  ctx: NodeContext,
  { sandboxId, containerId }: ListProcessesRequest,
  call: Call,
): Promise<Answer<ListProcessesResponse>> {
  const entry = ctx.sandboxes.require(sandboxId);
  permitsContainer(entry, containerId, "list_processes");
  const { containers } = await entry.agent.client({ signal: call.signal, deadlineMs: TIMEOUT_MS });
  const { processes } = await containers.listProcesses(
    { containerId },
    { signal: call.signal, timeoutMs: TIMEOUT_MS },
  );
  return { processes: processEntries(processes) };
}
