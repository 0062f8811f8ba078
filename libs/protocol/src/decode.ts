import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";

/** The message in its binary form; undefined when the bytes are none. */
export function fromBinaryIfValid<Desc extends DescMessage>(
  schema: Desc,
  bytes: Uint8Array,
): MessageShape<Desc> | undefined {
  try {
    return fromBinary(schema, bytes);
  } catch {
    return undefined;
  }
}
