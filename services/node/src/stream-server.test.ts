import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { type ImageStore, openImageStore } from "@paddock/images";
import { ProcessService } from "@paddock/protocol";
import { GrpcConnection, type HostPort, methodPath, PeerChannelCredentials } from "@paddock/rpc";
import { LogBook } from "./logs/log-book.ts";
import { startStreamServer } from "./stream-server.ts";
import { streamMethods } from "./streams/stream-handlers.ts";
import { TestNode } from "./testing/test-node.ts";

const SECRET = "s".repeat(32);
let directory: string;
let node: TestNode;
let images: ImageStore;
before(async () => {
  directory = mkdtempSync(join(tmpdir(), "stream-server-"));
  node = await TestNode.start();
  images = await openImageStore({ root: join(directory, "images") });
  writeFileSync(join(directory, "secret"), SECRET, { mode: 0o600 });
});
after(async () => {
  await node[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

const start = (advertise?: HostPort) =>
  startStreamServer(
    { ...node.context, images, logs: new LogBook(() => {}) },
    {
      listen: { host: "127.0.0.1", port: 0 },
      advertise,
      credentials: { kind: "secret", secretFile: join(directory, "secret") },
    },
  );

/** The gRPC code that a call without a body ends with. */
function codeOf(client: Client, path: string): Promise<number> {
  const bytes = (buffer: Buffer) => buffer;
  const deadline = Date.now() + 20_000;
  return new Promise((resolve) => {
    client.makeUnaryRequest(path, bytes, bytes, Buffer.alloc(0), new Metadata(), { deadline }, (error) =>
      resolve(error?.code ?? 0),
    );
  });
}

test("an unauthenticated client gets no answer from the stream port, not even for unknown methods", async () => {
  await using server = await start();
  const streams = streamMethods({ ...node.context, images, logs: new LogBook(() => {}) }).map(({ method }) =>
    methodPath(method),
  );
  const others = [
    "grpc.health.v1.Health/Check",
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "a.B/C",
  ];
  const client = new Client(server.address, credentials.createInsecure());
  for (const path of [...streams, ...others])
    assert.equal(await codeOf(client, `/${path}`), 14, `${path} must be UNAVAILABLE`);
  client.close();
});

test("the api is served, and a shutdown ends its connection in order", async () => {
  const server = await start();
  const channel = new PeerChannelCredentials({
    credentials: () => ({ kind: "secret", secret: SECRET }),
    nodeId: node.context.nodeId,
    onRefused: () => {},
  });
  using connection = new GrpcConnection(server.address, channel);
  const wait = () =>
    connection
      .service(ProcessService)
      .waitProcess(
        { sandboxId: "none", containerId: "c", execId: "c" },
        { deadline: new Date(Date.now() + 20_000) },
      );
  await assert.rejects(wait(), { reason: "SANDBOX_NOT_FOUND" });
  await server[Symbol.asyncDispose]();
  await assert.rejects(wait(), { kind: "unavailable" });
});

test("the advertised address has the assigned port when it names none", async () => {
  await using plain = await start();
  assert.equal(plain.advertised, plain.address);
  await using told = await start({ host: "localhost", port: 0 });
  assert.equal(told.advertised, `localhost:${told.address.split(":")[1]}`);
  await using other = await start({ host: "localhost", port: 7071 });
  assert.equal(other.advertised, "localhost:7071");
});
