/**
 * Validation of requests by the rules in the schema (protovalidate).
 *
 * Rules are compiled on first use of a message type and kept. The messages that carry bytes on streams are checked by hand: they
 * come by the thousand a second and have two rules each.
 */
import type { DescMethod, Message } from "@bufbuild/protobuf";
import { pathToString } from "@bufbuild/protobuf/reflect";
import { createValidator } from "@bufbuild/protovalidate";
import { type FieldViolation, PaddockError } from "@paddock/domain";

/** Throws `PaddockError` INVALID_FIELD, which names each field, when the request (the `index`-th of its call) breaks a rule. */
export type RequestCheck = (method: DescMethod, request: Message, index: number) => void;

/**
 * A quick check of one message type: undefined when it cannot judge the message (the schema's rules do then), else the
 * violations, none for a good message.
 */
export type QuickCheck = (request: Message) => readonly FieldViolation[] | undefined;

/** A check by the rules of the schema, with `quick` checks by type name for later messages of a stream. */
export function createRequestCheck(quick: Readonly<Record<string, QuickCheck>> = {}): RequestCheck {
  const validator = createValidator();
  return (method, request, index) => {
    const violations =
      (index > 0 ? quick[request.$typeName]?.(request) : undefined) ?? schemaViolations(method, request);
    if (violations.length > 0) throw invalidFields(violations);
  };

  function schemaViolations(method: DescMethod, request: Message): readonly FieldViolation[] {
    const result = validator.validate(method.input, request);
    switch (result.kind) {
      case "valid":
        return [];
      case "invalid":
        return result.violations.map((violation) => ({
          field: pathToString(violation.field),
          description: violation.message || violation.ruleId,
        }));
      case "error":
        throw result.error;
      default:
        return result satisfies never;
    }
  }
}

/** The error for fields that break rules: its message names all of them. */
export function invalidFields(violations: readonly FieldViolation[]): PaddockError {
  const text = violations.map(({ field, description }) => `${field || "request"}: ${description}`).join("; ");
  return new PaddockError("INVALID_FIELD", text, { violations });
}
