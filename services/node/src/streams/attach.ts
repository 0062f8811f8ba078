import { create } from "@bufbuild/protobuf";
import { type AttachRequest, type AttachResponse, AttachResponseSchema } from "@paddock/protocol";
import { type CallContext, firstRequest } from "@paddock/rpc";
import { attachProcess } from "../agent/process-call.ts";
import type { LiveSandbox } from "../sandboxes/live-sandbox.ts";
import { permitsContainer } from "../sandboxes/permits.ts";
import { attachInit } from "./attach-init.ts";
import { inputsOf, processStream } from "./process-stream.ts";
import { type StreamContext, streamContainer } from "./stream-context.ts";

/** Joins a process and carries its input and output. See `paddock.v1.ProcessService.Attach`. */
export async function* attach(
  context: StreamContext,
  requests: AsyncIterable<AttachRequest>,
  call: CallContext,
): AsyncGenerator<AttachResponse> {
  const { first, rest } = await firstRequest(requests);
  const { stdoutOffset, stderrOffset, explicitAck, ...start } = first.message.value;
  const { containerId, execId } = start;
  const { sandbox } = streamContainer(context, start, call);
  permitsContainer(sandbox, containerId, "attach");
  const join = joiner(context, sandbox, start);
  const outputs = processStream(sandbox, {
    first: (agent, options) => {
      const stdout = stdoutOffset === undefined ? undefined : Number(stdoutOffset);
      const stderr = stderrOffset === undefined ? undefined : Number(stderrOffset);
      return join(agent, { containerId, execId, stdout, stderr }, options);
    },
    again: (agent, from, options) => join(agent, { containerId, execId, ...from }, options),
    requests: inputsOf(rest),
    closesOutputs: execId !== containerId,
    explicitAck,
    signal: call.signal,
  });
  for await (const output of outputs) {
    if (output.output.case === "exited" && execId === containerId) await sandbox.endRecorded(containerId);
    yield create(AttachResponseSchema, { output });
  }
}

/** An init has a log, whose follower must be the first holder. The output of any other process is only in the guest. */
function joiner(
  { logs }: StreamContext,
  sandbox: LiveSandbox,
  { containerId, execId }: { readonly containerId: string; readonly execId: string },
): typeof attachProcess {
  if (execId !== containerId) return attachProcess;
  return async function* joinInit(agent, point, call) {
    await logs.held(sandbox.sandboxId, containerId, agent);
    await using open = await logs.open(sandbox, containerId);
    yield* attachInit(agent, point, call, open.log);
  };
}
