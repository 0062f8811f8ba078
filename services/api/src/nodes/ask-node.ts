/** Commands to a node, with the types of the command that is sent. */
import { newCommand, requestCommand } from "@paddock/bus";
import { PaddockError } from "@paddock/domain";
import { fromStatus, type nodepb } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import type { ApiContext } from "../api-context.ts";

type Command = Exclude<nodepb.CommandRequest["command"], { case: undefined }>;
type Outcome = Exclude<nodepb.CommandResponse["outcome"], { case: undefined | "error" }>;

/** Names of commands: those of the public methods. */
export type CommandName = Command["case"];
export type CommandBody<C extends CommandName> = Bodies[C];
export type CommandAnswer<C extends CommandName> = Answers[C];

type Bodies = { [C in CommandName]: Extract<Command, { case: C }>["value"] };
type Answers = { [C in CommandName]: Extract<Outcome, { case: C }>["value"] };

export type Ask<C extends CommandName> = {
  readonly nodeId: string;
  readonly name: C;
  readonly body: CommandBody<C>;
  /** Key of idempotency; undefined for what changes nothing. */
  readonly requestId?: string | undefined;
  readonly sandboxId?: string;
  readonly generation?: bigint;
  /** When the client leaves, tell the node but wait for what it says: the caller must learn what became of the command. */
  readonly awaitOutcome?: boolean;
};

/** The node is given a little less time than the client has, so that its own answer still arrives in time. */
const MARGIN_MS = 500;
const NO_DEADLINE_MS = 30_000;
/** How much longer than the client we wait when we must learn what became of a command. */
const OUTCOME_GRACE_MS = 5_000;

/** Sends a command and answers with its response. Throws what `requestCommand` throws, and the error that the node gave. */
export async function askNode<C extends CommandName>(
  api: ApiContext,
  ctx: CallContext,
  ask: Ask<C>,
): Promise<CommandAnswer<C>> {
  const now = api.now();
  const clientDeadline = ctx.deadline?.getTime() ?? now + NO_DEADLINE_MS;
  const margin = Math.min(MARGIN_MS, Math.max(0, (clientDeadline - now) / 10));
  const nodeDeadline = new Date(clientDeadline - margin);
  // TypeScript cannot see that name and body belong together once C is a type parameter; `Ask` ties them.
  const command = { case: ask.name, value: ask.body } as Command;
  const request = newCommand(command, {
    requestId: ask.requestId ?? ctx.requestId,
    ...(ask.sandboxId === undefined ? {} : { sandboxId: ask.sandboxId }),
    ...(ask.generation === undefined ? {} : { generation: ask.generation }),
  });
  const response = await requestCommand(api.bus, ask.nodeId, request, {
    deadline: new Date(clientDeadline + (ask.awaitOutcome ? OUTCOME_GRACE_MS : 0)),
    nodeDeadline,
    signal: ctx.signal,
    nodes: api.nodes,
    trace: ctx.trace,
    awaitOutcome: ask.awaitOutcome ?? false,
  });
  return answerOf(response.outcome, ask);
}

function answerOf<C extends CommandName>(
  outcome: nodepb.CommandResponse["outcome"],
  { name, nodeId }: Ask<C>,
): CommandAnswer<C> {
  if (outcome.case === "error") throw fromStatus(outcome.value);
  if (outcome.case === name) return outcome.value as CommandAnswer<C>;
  throw new PaddockError("INTERNAL", `node ${nodeId} answered ${name} with ${outcome.case ?? "nothing"}`);
}
