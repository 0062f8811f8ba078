import type { DescMessage, DescMethodUnary, MessageShape } from "@bufbuild/protobuf";
import type { NodeRecord } from "@paddock/bus";
import { PaddockError } from "@paddock/domain";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";
import { askNode } from "../nodes/ask-node.ts";

/** How long a node has to answer. A list does not wait for a silent node until the client's deadline. */
const NODE_PATIENCE_MS = 5_000;

export type EveryAnswer<O extends DescMessage> = {
  readonly answers: readonly { readonly nodeId: string; readonly answer: MessageShape<O> }[];
  /** Nodes that answered with an error. */
  readonly refusals: readonly { readonly nodeId: string; readonly error: unknown }[];
  /** Nodes that did not answer, or are down. */
  readonly unreachable: readonly string[];
};

/** Sends the same command to every node that `wanted` selects, in parallel. */
export async function askEveryNode<I extends DescMessage, O extends DescMessage>(
  api: ApiContext,
  ctx: CallContext,
  command: { readonly method: DescMethodUnary<I, O>; readonly body: MessageShape<I> },
  wanted: (record: NodeRecord) => boolean = () => true,
): Promise<EveryAnswer<O>> {
  const patience = new Date(api.now() + NODE_PATIENCE_MS);
  const deadline = ctx.deadline !== undefined && ctx.deadline < patience ? ctx.deadline : patience;
  const records = api.nodes.all().filter(wanted);
  const answers: { nodeId: string; answer: MessageShape<O> }[] = [];
  const refusals: { nodeId: string; error: unknown }[] = [];
  const unreachable = records.filter(({ liveness }) => liveness === "down").map(({ nodeId }) => nodeId);
  await Promise.all(
    records
      .filter(({ liveness }) => liveness !== "down")
      .map(async ({ nodeId }) => {
        try {
          answers.push({ nodeId, answer: await askNode(api, { ...ctx, deadline }, { nodeId, ...command }) });
        } catch (error) {
          ctx.signal.throwIfAborted();
          if (isSilence(error)) unreachable.push(nodeId);
          else refusals.push({ nodeId, error });
        }
      }),
  );
  return { answers, refusals, unreachable: unreachable.sort() };
}

function isSilence(error: unknown): boolean {
  if (!(error instanceof PaddockError)) return false;
  return ["NODE_UNAVAILABLE", "BUS_UNAVAILABLE", "DEADLINE", "SHUTTING_DOWN", "TOO_MANY"].includes(
    error.reason,
  );
}
