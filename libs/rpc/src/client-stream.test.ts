import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { fileDesc, type GenService, serviceDesc } from "@bufbuild/protobuf/codegenv2";
import {
  FileDescriptorProtoSchema,
  file_google_protobuf_wrappers,
  type StringValueSchema,
  UInt64ValueSchema,
} from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { PaddockError } from "@paddock/domain";
import { GrpcConnection } from "./grpc-client.ts";
import { addGrpcMethods } from "./grpc-server.ts";
import { grpcTransport } from "./grpc-transport.ts";
import { createRequestCheck } from "./request-check.ts";
import { bindService } from "./service-handlers.ts";

// The protocols have no client stream yet, so this defines one, in the same way as generated code.
const file = create(FileDescriptorProtoSchema, {
  name: "test.proto",
  package: "test",
  syntax: "proto3",
  dependency: ["google/protobuf/wrappers.proto"],
  service: [
    {
      name: "Lengths",
      method: [
        {
          name: "Sum",
          inputType: ".google.protobuf.StringValue",
          outputType: ".google.protobuf.UInt64Value",
          clientStreaming: true,
        },
      ],
    },
  ],
});
const encoded = Buffer.from(toBinary(FileDescriptorProtoSchema, file)).toString("base64");
const Lengths: GenService<{
  sum: {
    methodKind: "client_streaming";
    input: typeof StringValueSchema;
    output: typeof UInt64ValueSchema;
  };
}> = serviceDesc(fileDesc(encoded, [file_google_protobuf_wrappers]), 0);

const server = new Server();
let connection: GrpcConnection;
before(async () => {
  const methods = bindService(Lengths, {
    sum: async (requests) => {
      let value = 0n;
      for await (const request of requests) {
        if (request.value === "stop") throw new PaddockError("TOO_MANY", "enough");
        value += BigInt(request.value.length);
      }
      return create(UInt64ValueSchema, { value });
    },
  });
  addGrpcMethods(server, methods, { check: createRequestCheck(), onBug: (error) => console.error(error) });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  connection = new GrpcConnection(`127.0.0.1:${port}`);
});
after(() => {
  connection.close();
  server.forceShutdown();
});

test("many requests get one response after the half-close", async () => {
  const call = connection.service(Lengths).sum();
  await call.write({ value: "abc" });
  await call.write({ value: "de" });
  call.end();
  assert.equal((await call.response).value, 5n);
});

test("an error ends the call at once, and the next write fails with it", async () => {
  const call = connection.service(Lengths).sum();
  await call.write({ value: "stop" });
  await assert.rejects(call.response, { reason: "TOO_MANY" });
  await assert.rejects(call.write({ value: "more" }), { reason: "TOO_MANY" });
});

test("a Connect client gets the response and the error over the grpc-js transport", async () => {
  const client = createClient(Lengths, grpcTransport(connection));
  const requests = async function* (...values: string[]) {
    for (const value of values) yield { value };
  };
  assert.equal((await client.sum(requests("abc", "de"))).value, 5n);
  await assert.rejects(client.sum(requests("stop", "more")), { reason: "TOO_MANY" });
});
