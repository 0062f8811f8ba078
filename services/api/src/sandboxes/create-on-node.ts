import type { DescMessage, DescMethodUnary, Message, MessageShape } from "@bufbuild/protobuf";
import { sandboxDemand } from "@paddock/domain";
import type { SandboxSpec } from "@paddock/protocol";
import { type CallContext, requestDigest } from "@paddock/rpc";
import { askNode } from "../nodes/ask-node.ts";
import { placeSandbox } from "./place-sandbox.ts";
import type { PlacementContext } from "./placement-context.ts";
import { sandboxIdOf } from "./sandbox-id.ts";

/** A request that makes a sandbox from a spec. */
type CreateShape = Message & {
  readonly sandboxId: string;
  readonly requestId: string;
  readonly spec?: SandboxSpec | undefined;
};

/** Sends a request that makes a sandbox to a node with room for it. Throws what `placeSandbox` and `askNode` throw. */
export function createOnNode<I extends DescMessage, O extends DescMessage>(
  api: PlacementContext,
  ctx: CallContext,
  method: DescMethodUnary<I, O>,
  request: MessageShape<I> & CreateShape,
): Promise<MessageShape<O>> {
  const body = { ...request, sandboxId: request.sandboxId || sandboxIdOf(request.requestId) };
  return placeSandbox(api, ctx, {
    sandboxId: body.sandboxId,
    requestId: body.requestId,
    digest: requestDigest(method.input, body),
    demand: () => sandboxDemand(body.spec ?? { containers: [] }),
    ask: ({ nodeId, generation }) =>
      askNode(api, ctx, { nodeId, method, body, generation, awaitOutcome: true }),
  });
}
