/** A message as indented protobuf JSON. */
import { type DescMessage, type MessageShape, toJson } from "@bufbuild/protobuf";

export const toJsonText = <D extends DescMessage>(schema: D, message: MessageShape<D>): string =>
  `${JSON.stringify(toJson(schema, message), null, 2)}\n`;

/** A message on one line, for streams. */
export const toJsonLine = <D extends DescMessage>(schema: D, message: MessageShape<D>): string =>
  `${JSON.stringify(toJson(schema, message))}\n`;

/** An array, even when it is empty. */
export const toJsonArray = <D extends DescMessage>(schema: D, messages: readonly MessageShape<D>[]): string =>
  `${JSON.stringify(
    messages.map((message) => toJson(schema, message)),
    null,
    2,
  )}\n`;
