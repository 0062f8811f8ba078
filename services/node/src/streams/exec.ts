import { randomUUIDv7 } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import { type ExecRequest, type ExecResponse, ExecResponseSchema, type ExecStart } from "@paddock/protocol";
import { type CallContext, firstRequest, invalidFields } from "@paddock/rpc";
import { attachProcess, execProcess as execInGuest } from "../agent/process-call.ts";
import { requireImageOfId } from "../containers/require-image.ts";
import type { ContainerRecord } from "../record/sandbox-record.ts";
import { permitsContainer } from "../sandboxes/permits.ts";
import { execProcess } from "../wire/exec-process.ts";
import { initProcess } from "../wire/init-process.ts";
import { inputsOf, processStream } from "./process-stream.ts";
import { type StreamContext, streamContainer } from "./stream-context.ts";

/** Runs an additional process in a container and carries its input and output. See `paddock.v1.ProcessService.Exec`. */
export async function* exec(
  context: StreamContext,
  requests: AsyncIterable<ExecRequest>,
  call: CallContext,
): AsyncGenerator<ExecResponse> {
  const { first, rest } = await firstRequest(requests);
  const start = first.message.value;
  const { containerId, explicitAck } = start;
  const { sandbox, container } = streamContainer(context, start, call);
  permitsContainer(sandbox, containerId, "exec");
  const process = execProcess(requiredSpec(start), initOf(context, container));
  const execId = start.execId || randomUUIDv7();
  const outputs = processStream(sandbox, {
    first: (agent, options) => execInGuest(agent, { containerId, execId, process }, options),
    again: (agent, from, options) => attachProcess(agent, { containerId, execId, ...from }, options),
    requests: inputsOf(rest),
    closesOutputs: true,
    explicitAck,
    signal: call.signal,
  });
  for await (const output of outputs) yield create(ExecResponseSchema, { output });
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
function initOf(context: StreamContext, container: ContainerRecord) {
  return initProcess(container.spec, requireImageOfId(context, container.imageId).config);
}
