import { randomUUIDv7 } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import { type ExecStart, nodepb, type ProcessInput } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import { attachProcess, execProcess as execInGuest } from "../agent/process-call.ts";
import { initProcess } from "../containers/init-process.ts";
import { requireImageOfId } from "../containers/require-image.ts";
import { execProcess } from "./convert/exec-process.ts";
import { firstRequest, invalidStart } from "./first-request.ts";
import { whileAnswering } from "./guest-watch.ts";
import { implyEofs } from "./imply-eofs.ts";
import { processStream } from "./process-stream.ts";
import { type LiveContainer, requireContainer, requireState, type StreamContext } from "./stream-context.ts";

/** Runs one more process in a container and carries its input and output. See `paddock.v1.ProcessService.Exec`. */
export async function* exec(
  context: StreamContext,
  requests: AsyncIterable<nodepb.ExecRequest>,
  call: CallContext,
): AsyncGenerator<nodepb.ExecResponse> {
  const { first, rest } = await firstRequest(requests);
  const message = first.request?.message;
  if (message?.case !== "start") throw invalidStart();
  const start = message.value;
  const live = requireContainer(context, start);
  requireState(live, "exec", "exec in");
  const process = execProcess(requiredSpec(start), initOf(context, live));
  const { containerId, explicitAck } = start;
  const execId = start.execId || randomUUIDv7();
  const link = live.sandbox.agent;
  const inputs = inputsOf(rest);
  const outputs = whileAnswering(live.sandbox, call.signal, (signal) =>
    processStream({
      link,
      first: (agent, options) => execInGuest(agent, { containerId, execId, process }, options),
      again: (agent, from, options) => attachProcess(agent, { containerId, execId, ...from }, options),
      requests: inputs,
      closesOutputs: true,
      explicitAck,
      signal,
    }),
  );
  for await (const output of implyEofs(outputs))
    yield create(nodepb.ExecResponseSchema, { response: { output } });
}

async function* inputsOf(requests: AsyncIterable<nodepb.ExecRequest>): AsyncGenerator<ProcessInput> {
  for await (const { request } of requests) {
    if (request?.message.case !== "input") throw invalidStart();
    yield request.message.value;
  }
}

function requiredSpec({ process, execId, containerId }: ExecStart) {
  if (process === undefined) throw invalidStart();
  if (execId !== containerId) return process;
  throw new PaddockError("PROCESS_EXISTS", `${execId} is the id of the container's own process`, {
    hint: "choose another exec_id, or leave it out",
  });
}

/** The init as it was started. The image is there as long as the container is. */
function initOf(context: StreamContext, { container }: LiveContainer) {
  return initProcess(container.spec, requireImageOfId(context, container.imageId).config);
}
