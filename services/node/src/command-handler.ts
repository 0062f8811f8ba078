/**
 * What is common to all commands, around their handlers: validation, fencing, exactly-once.
 *
 * The node validates again what the api has validated: whoever can reach the bus can send commands.
 */
import { create, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import type { CommandContext } from "@paddock/bus";
import { RequestLedger } from "@paddock/lifecycle";
import { nodepb } from "@paddock/protocol";
import { invalidFields, requestDigest } from "@paddock/rpc";
import type { Call } from "./handlers/call.ts";
import { hostFailure } from "./host/host-failure.ts";
import type { NodeContext } from "./node-context.ts";
import { COMMANDS, route } from "./routes.ts";

export type CommandCheck = (request: Message) => void;

/** Outcomes larger than this are not kept: repeating the request finds what it made. */
const MAX_KEPT_OUTCOME_BYTES = 64 * 1024;

/** Answers commands. `check` throws INVALID_FIELD for a request that breaks the rules of the schema. */
export function commandHandler(ctx: NodeContext, check: CommandCheck) {
  const ledger = new RequestLedger({
    find: (id) => ctx.store.find(id),
    begin: (id, digest) => ctx.store.begin(id, digest),
    finish: (id, outcome, isProven) => {
      if (outcome.length <= MAX_KEPT_OUTCOME_BYTES) ctx.store.finish(id, outcome, isProven);
    },
  });
  return async (
    request: nodepb.CommandRequest,
    { signal, deadline }: Pick<CommandContext, "signal" | "deadline">,
  ): Promise<nodepb.CommandResponse> => {
    const { command, requestId, sandboxId, generation } = request;
    if (command.case === undefined)
      throw invalidFields([
        { field: "command", description: "names nothing to do, or nothing this node knows" },
      ]);
    check(command.value);
    ctx.sandboxes.fence(sandboxId, generation);
    const work = async (left: AbortSignal) => {
      const call: Call = { requestId, generation, signal: left, deadline };
      const outcome = await route(ctx, command, call).catch((error: unknown) => {
        throw hostFailure(error);
      });
      return create(nodepb.CommandResponseSchema, { outcome });
    };
    if (COMMANDS[command.case] === "reads") return await work(signal);
    if (requestId === "")
      throw invalidFields([{ field: "request_id", description: `is needed by ${command.case}` }]);
    // A repeat of the request that created a sandbox, or a container, is answered with what it created.
    const isProven = () => {
      const { record } = ctx.sandboxes.find(sandboxId) ?? {};
      const created = record === undefined ? [] : [record, ...record.containers];
      return created.some((each) => each.requestId === requestId);
    };
    const bytes = await ledger.once(
      { requestId, digest: digestOf(request), signal, isProven },
      async (left) => toBinary(nodepb.CommandResponseSchema, await work(left)),
    );
    return fromBinary(nodepb.CommandResponseSchema, bytes);
  };
}

/** What makes two commands the same: what is asked, of which sandbox. Not the deadline. */
function digestOf({ command, sandboxId }: nodepb.CommandRequest): string {
  const asked = create(nodepb.CommandRequestSchema, { sandboxId, command });
  return Buffer.from(requestDigest(nodepb.CommandRequestSchema, asked)).toString("hex");
}
