/** Commands to a node: a unary method of the public API, its request and its response. */
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type Message,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { requestCommand } from "@paddock/bus";
import { PaddockError } from "@paddock/domain";
import { fromStatus, nodepb } from "@paddock/protocol";
import { type CallContext, methodPath } from "@paddock/rpc";
import type { NodesContext } from "./nodes-context.ts";

export type Ask<I extends DescMessage, O extends DescMessage> = {
  readonly nodeId: string;
  readonly method: DescMethodUnary<I, O>;
  readonly body: MessageShape<I>;
  readonly generation?: bigint;
  /** If the client leaves, still wait for the node's answer, because the caller must know the outcome of the command. */
  readonly awaitOutcome?: boolean;
};

/** The node gets a little less time than the client has, so that its answer arrives in time. */
const MARGIN_MS = 500;
const NO_DEADLINE_MS = 30_000;
/** How much longer than the client the api waits if it must know the outcome of a command. */
const OUTCOME_GRACE_MS = 5_000;

/** Sends a command and returns its response. Throws the errors of `requestCommand`, and the node's error. */
export async function askNode<I extends DescMessage, O extends DescMessage>(
  api: NodesContext,
  ctx: CallContext,
  { nodeId, method, body, generation = 0n, awaitOutcome = false }: Ask<I, O>,
): Promise<MessageShape<O>> {
  const now = api.now();
  const clientDeadline = ctx.deadline?.getTime() ?? now + NO_DEADLINE_MS;
  const margin = Math.min(MARGIN_MS, Math.max(0, (clientDeadline - now) / 10));
  const command = create(nodepb.CommandRequestSchema, {
    method: methodPath(method),
    request: toBinary(method.input, body),
    requestId: requestIdIn(body) || ctx.requestId,
    sandboxId: sandboxIdIn(body),
    generation,
  });
  const { outcome } = await requestCommand(api.bus, nodeId, command, {
    deadline: new Date(clientDeadline + (awaitOutcome ? OUTCOME_GRACE_MS : 0)),
    nodeDeadline: new Date(clientDeadline - margin),
    signal: ctx.signal,
    nodes: api.nodes,
    trace: ctx.trace,
    awaitOutcome,
  });
  if (outcome.case === "error") throw fromStatus(outcome.value);
  if (outcome.case === "response") return fromBinary(method.output, outcome.value);
  throw new PaddockError("INTERNAL", `node ${nodeId} sent an empty answer to ${method.name}`);
}

const requestIdIn = (request: Message): string =>
  "requestId" in request && typeof request.requestId === "string" ? request.requestId : "";

const sandboxIdIn = (request: Message): string =>
  "sandboxId" in request && typeof request.sandboxId === "string" ? request.sandboxId : "";
