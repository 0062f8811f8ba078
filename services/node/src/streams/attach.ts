import { create } from "@bufbuild/protobuf";
import { type AttachRequest, type AttachResponse, AttachResponseSchema } from "@paddock/protocol";
import { type CallContext, firstRequest } from "@paddock/rpc";
import { type AttachPoint, attachProcess } from "../agent/process-call.ts";
import { attachInit } from "./attach-init.ts";
import { whileAnswering } from "./guest-watch.ts";
import { implyEofs } from "./imply-eofs.ts";
import { inputsOf, type ProcessStreamOptions, processStream } from "./process-stream.ts";
import { type LiveContainer, requireContainer, requireState, type StreamContext } from "./stream-context.ts";

/** Joins a process and carries its input and output. See `paddock.v1.ProcessService.Attach`. */
export async function* attach(
  context: StreamContext,
  requests: AsyncIterable<AttachRequest>,
  call: CallContext,
): AsyncGenerator<AttachResponse> {
  const { first, rest } = await firstRequest(requests);
  const { stdoutOffset, stderrOffset, explicitAck, ...start } = first.message.value;
  const { containerId, execId } = start;
  const live = requireContainer(context, start);
  requireState(live, "attach", "attach to");
  const link = live.sandbox.agent;
  const join = joiner(context, live, execId);
  const outputs = whileAnswering(live.sandbox, call.signal, (signal) =>
    processStream({
      link,
      first: (agent, options) => {
        const stdout = stdoutOffset === undefined ? undefined : Number(stdoutOffset);
        const stderr = stderrOffset === undefined ? undefined : Number(stderrOffset);
        return join(agent, { containerId, execId, stdout, stderr }, options);
      },
      again: (agent, from, options) => join(agent, { containerId, execId, ...from }, options),
      requests: inputsOf(rest),
      closesOutputs: execId !== containerId,
      explicitAck,
      signal,
    }),
  );
  for await (const output of implyEofs(outputs)) {
    if (output.output.case === "exited" && execId === containerId)
      await live.sandbox.endRecorded(containerId);
    yield create(AttachResponseSchema, { output });
  }
}

type Join = (
  agent: Parameters<ProcessStreamOptions["first"]>[0],
  point: AttachPoint,
  call: Parameters<ProcessStreamOptions["first"]>[1],
) => ReturnType<ProcessStreamOptions["first"]>;

/** An init has a log, whose follower must be the first holder. Any other process has only what the guest holds. */
function joiner({ logs }: StreamContext, { sandbox, container }: LiveContainer, execId: string): Join {
  const { containerId } = container;
  if (execId !== containerId) return attachProcess;
  return async function* joinInit(agent, point, call) {
    await logs.held(sandbox.sandboxId, containerId, agent);
    await using open = await logs.open(sandbox, containerId);
    yield* attachInit(agent, point, call, open.log);
  };
}
