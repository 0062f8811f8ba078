import { randomUUIDv7 } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import { type ExecRequest, type ExecResponse, ExecResponseSchema, type ExecStart } from "@paddock/protocol";
import { type CallContext, firstRequest, invalidFields } from "@paddock/rpc";
import { attachProcess, execProcess as execInGuest } from "../agent/process-call.ts";
import { requireImageOfId } from "../containers/require-image.ts";
import { execProcess } from "../wire/exec-process.ts";
import { initProcess } from "../wire/init-process.ts";
import { whileAnswering } from "./guest-watch.ts";
import { implyEofs } from "./imply-eofs.ts";
import { inputsOf, processStream } from "./process-stream.ts";
import { type LiveContainer, requireContainer, requireState, type StreamContext } from "./stream-context.ts";

/** Runs one more process in a container and carries its input and output. See `paddock.v1.ProcessService.Exec`. */
export async function* exec(
  context: StreamContext,
  requests: AsyncIterable<ExecRequest>,
  call: CallContext,
): AsyncGenerator<ExecResponse> {
  const { first, rest } = await firstRequest(requests);
  const start = first.message.value;
  const live = requireContainer(context, start);
  requireState(live, "exec", "exec in");
  const process = execProcess(requiredSpec(start), initOf(context, live));
  const { containerId, explicitAck } = start;
  const execId = start.execId || randomUUIDv7();
  const link = live.sandbox.agent;
  const outputs = whileAnswering(live.sandbox, call.signal, (signal) =>
    processStream({
      link,
      first: (agent, options) => execInGuest(agent, { containerId, execId, process }, options),
      again: (agent, from, options) => attachProcess(agent, { containerId, execId, ...from }, options),
      requests: inputsOf(rest),
      closesOutputs: true,
      explicitAck,
      signal,
    }),
  );
  for await (const output of implyEofs(outputs)) yield create(ExecResponseSchema, { output });
}

function requiredSpec({ process, execId, containerId }: ExecStart) {
  if (process === undefined)
    throw invalidFields([{ field: "message.start.process", description: "must be set" }]);
  if (execId !== containerId) return process;
  throw new PaddockError("PROCESS_EXISTS", `${execId} is the id of the container's own process`, {
    hint: "choose another exec_id, or leave it out",
  });
}

/** The init as it was started. The image exists as long as the container does. */
function initOf(context: StreamContext, { container }: LiveContainer) {
  return initProcess(container.spec, requireImageOfId(context, container.imageId).config);
}
