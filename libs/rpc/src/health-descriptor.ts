/**
 * The descriptor of grpc.health.v1, from the library that serves it.
 *
 * The library's parser names map entries after their field and leaves names of types relative. The runtimes of Go and C++ refuse
 * both, so both are corrected here.
 */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { type DescriptorProto, FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { service } from "grpc-health-check";

/** Full name of the service. */
export const HEALTH_SERVICE = "grpc.health.v1.Health";

/** The `FileDescriptorProto` of `HEALTH_SERVICE`, encoded. */
export function healthDescriptor(): Buffer {
  const [encoded] = Object.values(service).flatMap(({ requestType }) => requestType.fileDescriptorProtos);
  if (encoded === undefined) throw new Error("the health service has no descriptor");
  const file = fromBinary(FileDescriptorProtoSchema, encoded);
  file.name = "grpc/health/v1/health.proto";
  for (const message of file.messageType) repair(message, `.${file.package}`);
  return Buffer.from(toBinary(FileDescriptorProtoSchema, file));
}

function repair(message: DescriptorProto, scope: string): void {
  const name = `${scope}.${message.name}`;
  const nested = new Set([...message.nestedType, ...message.enumType].map((each) => each.name));
  const absolute = (typeName: string) => `${nested.has(typeName) ? name : scope}.${typeName}`;
  for (const each of [message, ...message.nestedType]) {
    for (const field of each.field) if (field.typeName !== "") field.typeName = absolute(field.typeName);
  }
  for (const entry of message.nestedType) {
    if (entry.options?.mapEntry !== true) continue;
    const before = `${name}.${entry.name}`;
    entry.name += "Entry";
    for (const field of message.field) if (field.typeName === before) field.typeName += "Entry";
  }
}
