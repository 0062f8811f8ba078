/**
 * Checks by hand of the messages that carry bytes on streams. They have the rules of the schema; protovalidate would cost more
 * than all else that is done to them here. Every other message of a stream is judged by the schema.
 */
import { isMessage, type Message } from "@bufbuild/protobuf";
import { type FieldViolation, parseSignal } from "@paddock/domain";
import {
  AttachRequestSchema,
  ExecRequestSchema,
  ImportImageRequestSchema,
  type ProcessInput,
} from "@paddock/protocol";
import type { QuickCheck } from "@paddock/rpc";

const MAX_DATA_BYTES = 1024 * 1024;
const START_AGAIN = [{ field: "message", description: "`start` is only the first request of the stream" }];

const processRequest: QuickCheck = (request: Message) => {
  if (!isMessage(request, ExecRequestSchema) && !isMessage(request, AttachRequestSchema)) return undefined;
  if (request.message.case === "start") return START_AGAIN;
  return request.message.case === "input" ? processInput(request.message.value) : undefined;
};

function processInput({ input }: ProcessInput): readonly FieldViolation[] | undefined {
  switch (input.case) {
    case "stdin":
      return dataSize("input.stdin.data", input.value.data.length);
    case "stdinEof":
    case "ack":
      return [];
    case "signal":
      return parseSignal(input.value) === undefined
        ? [{ field: "input.signal", description: "no signal of that name or number" }]
        : [];
    default:
      return undefined;
  }
}

const importRequest: QuickCheck = (request: Message) => {
  if (!isMessage(request, ImportImageRequestSchema)) return undefined;
  if (request.message.case === "start") return START_AGAIN;
  return request.message.case === "data" ? dataSize("data", request.message.value.length, 0) : undefined;
};

const dataSize = (field: string, bytes: number, least = 1): readonly FieldViolation[] =>
  bytes >= least && bytes <= MAX_DATA_BYTES
    ? []
    : [{ field, description: `must be ${least} to ${MAX_DATA_BYTES} bytes, is ${bytes}` }];

/** By type name, for `createRequestCheck`. */
export const streamChecks: Readonly<Record<string, QuickCheck>> = {
  [ExecRequestSchema.typeName]: processRequest,
  [AttachRequestSchema.typeName]: processRequest,
  [ImportImageRequestSchema.typeName]: importRequest,
};
