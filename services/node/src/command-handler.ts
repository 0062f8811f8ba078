/**
 * The steps around every command's handler: validation, fencing, exactly-once.
 *
 * The node validates again what the api has validated: every client of the bus can send commands.
 */
import { toJson } from "@bufbuild/protobuf";
import type { CommandHandler } from "@paddock/bus";
import { RequestLedger } from "@paddock/lifecycle";
import { invalidFields, jsonDigest, type RequestCheck } from "@paddock/rpc";
import type { Asked, Command } from "./command.ts";
import type { Call } from "./handlers/call.ts";
import { hostFailure } from "./host/host-failure.ts";
import type { NodeContext } from "./node-context.ts";
import { requireCommand } from "./routes.ts";
import { decodeOutcome, encodeOutcome } from "./store/request-outcome.ts";

/** Answers commands. `check` throws INVALID_FIELD for a request that violates the schema. */
export function commandHandler(ctx: NodeContext, check: RequestCheck) {
  const ledger = new RequestLedger(ctx.store);
  return async (
    envelope: Parameters<CommandHandler>[0],
    { signal, deadline }: Pick<Parameters<CommandHandler>[1], "signal" | "deadline">,
  ): Promise<Uint8Array> => {
    const { requestId, sandboxId, generation } = envelope;
    const command = requireCommand(envelope);
    const asked = command.read(envelope.request);
    check(command.method, asked.request);
    ctx.sandboxes.fence(sandboxId, generation);
    const work = async (left: AbortSignal) => {
      const call: Call = { name: command.method.name, requestId, generation, signal: left, deadline };
      return await asked.carryOut(ctx, call).catch((error: unknown) => {
        throw hostFailure(error);
      });
    };
    if (command.kind === "reads") return await work(signal);
    if (requestId === "") {
      const description = `is needed by ${command.method.name}`;
      throw invalidFields([{ field: "request_id", description }]);
    }
    // A repeat of the request that created a sandbox or a container is answered with what it created.
    const isProven = () => {
      const { record } = ctx.sandboxes.find(sandboxId) ?? {};
      const created = record === undefined ? [] : [record, ...record.containers];
      return created.some((each) => each.requestId === requestId);
    };
    const digest = digestOf(command, asked, sandboxId);
    const kept = await ledger.once({ requestId, digest, signal, isProven }, async (left) =>
      encodeOutcome(await work(left)),
    );
    return decodeOutcome(kept);
  };
}

/**
 * The digest by which two commands are the same: method, request and sandbox. It is the digest of the command's earlier form,
 * which had a field for each method, so the stored digests stay valid.
 */
function digestOf({ method }: Command, { request }: Asked, sandboxId: string): string {
  const asked = { [method.localName]: toJson(method.input, request), ...(sandboxId !== "" && { sandboxId }) };
  return Buffer.from(jsonDigest("paddock.node.v1.CommandRequest", asked)).toString("hex");
}
