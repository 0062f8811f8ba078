import { createHash } from "node:crypto";
import { type DescMessage, type JsonValue, type MessageShape, toJson } from "@bufbuild/protobuf";

/**
 * SHA-256 of a request, to distinguish a repeated request from another one with the same id. It covers the JSON form with sorted
 * keys: the binary form of equal messages may differ, because the order of map entries is not defined (Go shuffles it on
 * purpose).
 */
export const requestDigest = <Desc extends DescMessage>(
  schema: Desc,
  request: MessageShape<Desc>,
): Uint8Array => jsonDigest(schema.typeName, toJson(schema, request));

/** The digest of a JSON value of the type `typeName`. */
export function jsonDigest(typeName: string, value: JsonValue): Uint8Array {
  const json = JSON.stringify(value, (_key, each: unknown) =>
    isPlainObject(each)
      ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1)))
      : each,
  );
  return createHash("sha256").update(`${typeName}\n${json}`).digest();
}

const isPlainObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
