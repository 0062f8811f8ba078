import { createHash } from "node:crypto";
import { type DescMessage, type MessageShape, toJson } from "@bufbuild/protobuf";

/**
 * SHA-256 of what a request asks for, to tell a repeated request from another one with the same id. It is taken of the JSON
 * form with sorted keys: the binary form of equal messages may differ, because the order of a map's entries is free (Go shuffles
 * it on purpose).
 */
export function requestDigest<Desc extends DescMessage>(
  schema: Desc,
  request: MessageShape<Desc>,
): Uint8Array {
  const json = JSON.stringify(toJson(schema, request), (_key, value: unknown) =>
    isPlainObject(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  );
  return createHash("sha256").update(`${schema.typeName}\n${json}`).digest();
}

const isPlainObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
