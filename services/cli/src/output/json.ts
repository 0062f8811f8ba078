/** Messages as protobuf JSON, indented. */
import { type DescMessage, type MessageShape, toJson } from "@bufbuild/protobuf";

export const toJsonText = <D extends DescMessage>(schema: D, message: MessageShape<D>): string =>
  `${JSON.stringify(toJson(schema, message), null, 2)}\n`;

/** One line, for streams of messages. */
export const toJsonLine = <D extends DescMessage>(schema: D, message: MessageShape<D>): string =>
  `${JSON.stringify(toJson(schema, message))}\n`;

/** An array, also when it is empty. */
export const toJsonArray = <D extends DescMessage>(schema: D, messages: readonly MessageShape<D>[]): string =>
  `${JSON.stringify(
    messages.map((message) => toJson(schema, message)),
    null,
    2,
  )}\n`;
