import { create } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import {
  type agentpb,
  type ExitStatus,
  type WaitProcessRequest,
  type WaitProcessResponse,
  WaitProcessResponseSchema,
} from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { AgentLink } from "../agent/agent-link.ts";
import { publicExitStatus } from "../wire/exit-status.ts";
import { exitStatusOf } from "../wire/sandbox-status.ts";
import { GuestWatch } from "./guest-watch.ts";
import { type LiveContainer, requireContainer, requireState, type StreamContext } from "./stream-context.ts";

/** Answers when a process has ended, over any number of connections to the guest. See `paddock.v1.ProcessService.WaitProcess`. */
export async function waitProcess(
  context: StreamContext,
  request: WaitProcessRequest,
  { signal }: CallContext,
): Promise<WaitProcessResponse> {
  const { containerId, execId } = request;
  const live = requireContainer(context, request);
  requireState(live, "wait", `wait for process ${execId} of`);
  using watch = new GuestWatch(live.sandbox, signal);
  const status =
    recordedExit(live, execId) ??
    (await guestExit(live.sandbox.agent, { containerId, execId }, watch.signal).catch((error: unknown) => {
      // The VM may have ended right after the process: then the record has the exit.
      const recorded = recordedExit(requireContainer(context, request), execId);
      if (recorded === undefined) throw error;
      return recorded;
    }));
  if (execId === containerId) await live.sandbox.endRecorded(containerId);
  return create(WaitProcessResponseSchema, { status });
}

function recordedExit({ container }: LiveContainer, execId: string): ExitStatus | undefined {
  const { containerId, phase } = container;
  if (execId !== containerId || phase.kind !== "stopped" || phase.exit === undefined) return undefined;
  return exitStatusOf(phase.exit);
}

async function guestExit(
  link: AgentLink,
  process: Pick<agentpb.WaitProcessRequest, "containerId" | "execId">,
  signal: AbortSignal,
): Promise<ExitStatus> {
  for (;;) {
    const agent = await link.client({ signal });
    try {
      const { status } = await agent.processes.waitProcess(process, { signal, timeoutMs: 0 });
      if (status !== undefined) return publicExitStatus(status);
      throw new PaddockError(
        "GUEST_FAILED",
        `the guest reports an end of process ${process.execId} without a status`,
      );
    } catch (error) {
      signal.throwIfAborted();
      if (agent.end === undefined) throw error;
    }
  }
}
