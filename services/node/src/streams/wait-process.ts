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
import type { ContainerRecord } from "../record/sandbox-record.ts";
import { permitsContainer, requireContainer } from "../sandboxes/permits.ts";
import { publicExitStatus } from "../wire/exit-status.ts";
import { exitStatusOf } from "../wire/sandbox-status.ts";
import { GuestWatch } from "./guest-watch.ts";
import { type StreamContext, streamContainer } from "./stream-context.ts";

/**
 * Answers when a process has ended, across any number of connections to the guest. See `paddock.v1.ProcessService.WaitProcess`.
 */
export async function waitProcess(
  context: StreamContext,
  request: WaitProcessRequest,
  call: CallContext,
): Promise<WaitProcessResponse> {
  const { containerId, sandboxId, execId } = request;
  const { sandbox, container } = streamContainer(context, request, call);
  permitsContainer(sandbox, containerId, "wait");
  using watch = new GuestWatch(sandbox, call.signal);
  const status =
    recordedExit(container, execId) ??
    (await guestExit(sandbox.agent, { containerId, execId }, watch.signal).catch((error: unknown) => {
      // The VM may have ended right after the process: then the record has the exit.
      const last = requireContainer(context.sandboxes.require(sandboxId), containerId);
      const recorded = recordedExit(last, execId);
      if (recorded === undefined) throw error;
      return recorded;
    }));
  if (execId === containerId) await sandbox.endRecorded(containerId);
  return create(WaitProcessResponseSchema, { status });
}

function recordedExit({ containerId, phase }: ContainerRecord, execId: string): ExitStatus | undefined {
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
