import { type DescMethod, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import type { MethodDefinition } from "@grpc/grpc-js";
import { methodPath } from "./service-handlers.ts";

/**
 * The grpc-js definition of a method with protobuf-es codecs. (proto-loader, the usual way, accepts malformed messages.)
 * Byte fields of a decoded message are views of the transport's buffer.
 */
export function grpcMethod(method: DescMethod): MethodDefinition<Message, Message> {
  const clientStreams = method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming";
  const serverStreams = method.methodKind === "server_streaming" || method.methodKind === "bidi_streaming";
  return {
    path: `/${methodPath(method)}`,
    requestStream: clientStreams,
    responseStream: serverStreams,
    requestSerialize: (message) => asBuffer(toBinary(method.input, message)),
    requestDeserialize: (bytes) => fromBinary(method.input, asBytes(bytes)),
    // A server encodes the responses of a stream itself; see `write-ahead.ts`.
    responseSerialize: (message) =>
      asBuffer(message instanceof Uint8Array ? message : toBinary(method.output, message)),
    responseDeserialize: (bytes) => fromBinary(method.output, asBytes(bytes)),
    originalName: method.localName,
  };
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Without this, byte fields would be Buffers, whose `slice` and equality differ from those of Uint8Array. */
const asBytes = (buffer: Buffer): Uint8Array =>
  new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
