import assert from "node:assert/strict";
import { test } from "node:test";
import { createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { HEALTH_SERVICE, healthDescriptor } from "./health-descriptor.ts";

test("strict runtimes accept the descriptor of the health service", () => {
  const file = fromBinary(FileDescriptorProtoSchema, healthDescriptor());
  const registry = createFileRegistry(file, () => undefined);
  assert.deepEqual(
    registry.getService(HEALTH_SERVICE)?.methods.map(({ name }) => name),
    ["Check", "Watch", "List"],
  );
  const statuses = registry.getMessage("grpc.health.v1.HealthListResponse")?.field.statuses;
  assert.equal(statuses?.fieldKind, "map");
  for (const { field, nestedType } of file.messageType) {
    for (const { typeName } of field) if (typeName !== "") assert.match(typeName, /^\.grpc\.health\.v1\./);
    for (const entry of nestedType) assert.match(entry.name, /Entry$/);
  }
});
