import type { DescMessage, DescMethodUnary, Message, MessageShape } from "@bufbuild/protobuf";
import { sandboxDemand } from "@paddock/domain";
import type { SandboxSpec } from "@paddock/protocol";
import { type CallContext, requestDigest } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { nodeOfVolumes } from "../lists/find-volume.ts";
import { askNode } from "../nodes/ask-node.ts";
import { placeSandbox } from "../sandboxes/place-sandbox.ts";
import { sandboxIdOf } from "../sandboxes/sandbox-id.ts";

/** A request that creates a sandbox from a spec. */
type CreateShape = Message & {
  readonly sandboxId: string;
  readonly requestId: string;
  readonly spec?: SandboxSpec | undefined;
};

/**
 * CreateSandbox and RunSandbox: sends the request to a node with room for the sandbox, which is that of its volumes if it mounts any.
 * The node boots its VM, creates its containers and, for RunSandbox, starts them. Throws the errors of `placeSandbox`,
 * `nodeOfVolumes` and `askNode`.
 */
export const createOnNode =
  <I extends DescMessage, O extends DescMessage>(api: ApiContext, method: DescMethodUnary<I, O>) =>
  (request: MessageShape<I> & CreateShape, ctx: CallContext): Promise<MessageShape<O>> => {
    const body = { ...request, sandboxId: request.sandboxId || sandboxIdOf(request.requestId) };
    return placeSandbox(api, ctx, {
      sandboxId: body.sandboxId,
      requestId: body.requestId,
      digest: requestDigest(method.input, body),
      onlyNode: () => nodeOfVolumes(api, ctx, body.spec ?? { containers: [] }),
      demand: () => sandboxDemand(body.spec ?? { containers: [] }),
      ask: ({ nodeId, generation }) =>
        askNode(api, ctx, { nodeId, method, body, generation, awaitOutcome: true }),
    });
  };
