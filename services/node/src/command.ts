/** A unary method of the public API as a command of this node, with its handler. */
import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodUnary,
  fromBinary,
  getOption,
  type Message,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as Idempotency } from "@bufbuild/protobuf/wkt";
import type { CommandKind } from "@paddock/bus";
import { PaddockError } from "@paddock/domain";
import { control } from "@paddock/protocol";
import type { Call } from "./handlers/call.ts";
import type { NodeContext } from "./node-context.ts";

export type Command = {
  readonly method: DescMethod;
  /**
   * The room of the node in which it waits (see `CommandRoom`), so that a stop gets through when changes and reads hang. The
   * outcome of a command that changes or controls something is kept, so that a repeat changes nothing.
   */
  readonly kind: CommandKind;
  /** Decodes a request. Throws INVALID_FIELD when it cannot be read. */
  read(request: Uint8Array): Asked;
};

export type Asked = {
  readonly request: Message;
  /** Runs the handler and encodes the response. Throws what the handler throws. */
  carryOut(ctx: NodeContext, call: Call): Promise<Uint8Array>;
};

type Handler<I extends DescMessage, O extends DescMessage> = (
  ctx: NodeContext,
  request: MessageShape<I>,
  call: Call,
) => MessageInitShape<O> | Promise<MessageInitShape<O>>;

/** Ties a method to its handler. The message types are erased, so that all commands have one type. */
export const command = <I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  handle: Handler<I, O>,
): Command => ({
  method,
  kind: kindOf(method),
  read: (bytes) => {
    const request = parse(method, bytes);
    return {
      request,
      carryOut: async (ctx, call) =>
        toBinary(method.output, create(method.output, await handle(ctx, request, call))),
    };
  },
});

function kindOf(method: DescMethod): CommandKind {
  if (method.idempotency !== Idempotency.IDEMPOTENCY_UNKNOWN) return "reads";
  return getOption(method, control) ? "controls" : "changes";
}

function parse<I extends DescMessage>({ input }: DescMethodUnary<I>, bytes: Uint8Array): MessageShape<I> {
  try {
    return fromBinary(input, bytes);
  } catch (cause) {
    throw new PaddockError("INVALID_FIELD", "the request of the command cannot be read", {
      violations: [{ field: "request", description: `is no ${input.typeName}` }],
      cause,
    });
  }
}
