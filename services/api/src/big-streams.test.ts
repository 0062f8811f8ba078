import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ProcessService } from "@paddock/protocol";
import { GrpcConnection } from "@paddock/rpc";
import { type ChildService, startService } from "../../../test/harness/child-service.ts";
import { startNats } from "../../../test/harness/nats.ts";
import { placeSandbox, streamSecretFile } from "./testing/api-bench.ts";
import { bytesAt, CHUNK, chunk, exited, input, inputsOf, start, stdin } from "./testing/exec-messages.ts";
import { FakeNode } from "./testing/fake-node.ts";

// The api runs in its own process here, so that its memory can be measured.
const directory = mkdtempSync(join(tmpdir(), "streams-"));
const cleanUp = new AsyncDisposableStack();
cleanUp.defer(() => rmSync(directory, { recursive: true }));
let api: ChildService;
let node: FakeNode;
let connection: GrpcConnection;

const MIB = 1024 * 1024;
const BIG = 100 * MIB;

before(async () => {
  const nats = await startNats(directory);
  cleanUp.defer(() => nats.stop());
  api = await startService(
    "api",
    {
      PADDOCK_NATS_URL: nats.url,
      PADDOCK_API_GRPC_ADDRESS: "127.0.0.1:0",
      PADDOCK_API_HTTP_ADDRESS: "127.0.0.1:0",
      PADDOCK_STREAM_SECRET_FILE: streamSecretFile(directory),
    },
    join(directory, "api.log"),
  );
  cleanUp.defer(async () => assert.equal(await api.stop(), 0, "the api shuts down in order"));
  node = cleanUp.use(await FakeNode.start("n1", nats.url));
  connection = cleanUp.use(new GrpcConnection(api.ready.grpcAddress ?? ""));
  await placeSandbox(connection, node);
});
after(() => cleanUp.disposeAsync());

const processes = () => connection.service(ProcessService);
const peakMemory = (): number => {
  const status = readFileSync(`/proc/${api.process.pid}/status`, "utf8");
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
};

test("100 MB of output arrive unchanged, in bounded memory, acknowledged on behalf of the client", async () => {
  const acks: bigint[] = [];
  const sent = createHash("sha256");
  const allAcked = Promise.withResolvers<void>();
  node.streams.exec = async function* (requests) {
    inputsOf(requests, (each) => {
      if (each.case !== "ack") return;
      acks.push(each.value.stdoutOffset);
      if (each.value.stdoutOffset === BigInt(BIG)) allAcked.resolve();
    }).catch(() => {});
    for (let offset = 0; offset < BIG; offset += CHUNK) {
      const data = bytesAt(offset);
      sent.update(data);
      yield chunk(offset, data);
    }
    await allAcked.promise;
    yield exited();
  };
  const before = peakMemory();
  const call = processes().exec();
  await call.write(start());
  const received = createHash("sha256");
  let next = 0n;
  for await (const { output } of call) {
    if (output?.output.case !== "chunk") continue;
    assert.equal(output.output.value.offset, next);
    next += BigInt(output.output.value.data.length);
    received.update(output.output.value.data);
  }
  assert.equal(received.digest("hex"), sent.digest("hex"));
  assert.deepEqual(
    acks,
    [...acks].sort((a, b) => (a < b ? -1 : 1)),
    "acks only increase",
  );
  assert.ok(acks.length <= BIG / CHUNK / 2, `${acks.length} acks are not coalesced`);
  const grown = peakMemory() - before;
  assert.ok(grown < 96 * MIB, `the api grew by ${grown} bytes`);
});

test("100 MB of input arrive unchanged, in bounded memory, at the pace of a slow node", async () => {
  const received = createHash("sha256");
  const finished = Promise.withResolvers<void>();
  node.streams.exec = async function* (requests) {
    for await (const { message } of requests) {
      const each = message.case === "input" ? message.value.input : undefined;
      if (each?.case === "stdin") received.update(each.value.data);
      if (each?.case === "stdinEof") break;
    }
    finished.resolve();
    yield exited();
  };
  const before = peakMemory();
  const call = processes().exec();
  await call.write(start());
  const sent = createHash("sha256");
  for (let offset = 0; offset < BIG; offset += CHUNK) {
    const data = bytesAt(offset);
    sent.update(data);
    await call.write(stdin(data));
  }
  await call.write(input({ case: "stdinEof", value: { $typeName: "paddock.v1.StdinEof" } }));
  await finished.promise;
  for await (const _ of call);
  assert.equal(received.digest("hex"), sent.digest("hex"));
  const grown = peakMemory() - before;
  assert.ok(grown < 96 * MIB, `the api grew by ${grown} bytes`);
});
