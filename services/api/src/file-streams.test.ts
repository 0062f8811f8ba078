import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { PaddockError } from "@paddock/domain";
import {
  CopyFormat,
  CopyFromResponseSchema,
  CopyToResponseSchema,
  FileService,
  FileType,
  fromConnectError,
  MakeDirectoryResponseSchema,
  RemoveFileResponseSchema,
  StatFileResponseSchema,
  WatchFilesResponseSchema,
} from "@paddock/protocol";
import { startNats } from "../../../test/harness/nats.ts";
import { ApiBench, placeSandbox } from "./testing/api-bench.ts";
import { bytesAt, CHUNK } from "./testing/exec-messages.ts";
import type { FakeNode } from "./testing/fake-node.ts";

const MIB = 1024 * 1024;
const AT = { sandboxId: "s", containerId: "c1", path: "/f" };
const FILE = { ...AT, format: CopyFormat.FILE };
let bench: ApiBench;
let node: FakeNode;

before(async () => {
  bench = await ApiBench.start(startNats);
  node = await bench.node("n1");
  await placeSandbox(bench.connection, node);
});
after(() => bench[Symbol.asyncDispose]());

const files = () => bench.connection.service(FileService);
const read = (message: MessageInitShape<typeof CopyFromResponseSchema>["message"]) =>
  create(CopyFromResponseSchema, { ...(message && { message }) });
const written = (message: MessageInitShape<typeof CopyToResponseSchema>["message"]) =>
  create(CopyToResponseSchema, { ...(message && { message }) });
const start = { message: { case: "start" as const, value: { ...FILE, transferId: "t" } } };
const chunk = (offset: number) => ({
  case: "chunk" as const,
  value: { offset: BigInt(offset), data: bytesAt(0) },
});

/** The value when it no longer changes. */
async function steady(value: () => number): Promise<number> {
  for (let before = -1; before !== value(); ) {
    before = value();
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  return value();
}

test("calls about files reach the node of their sandbox as commands, with the request ids of changes", async () => {
  node.commands.statFile = async ({ path }) =>
    create(StatFileResponseSchema, { file: { name: path.slice(1), type: FileType.REGULAR } });
  node.commands.removeFile = async () => create(RemoveFileResponseSchema);
  node.commands.makeDirectory = async () => create(MakeDirectoryResponseSchema);
  node.commands.listFiles = async () => {
    throw new PaddockError("FILE_NOT_FOUND", "cannot list /f: no such file");
  };
  node.seen.length = 0;
  assert.equal((await files().statFile(AT)).file?.name, "f");
  await files().removeFile({ ...AT, requestId: "r1" });
  await files().makeDirectory({ ...AT, requestId: "r2" });
  await assert.rejects(files().listFiles(AT), { reason: "FILE_NOT_FOUND" });
  assert.deepEqual(
    node.seen.map(({ method, sandboxId }) => `${method} ${sandboxId}`),
    ["StatFile", "RemoveFile", "MakeDirectory", "ListFiles"].map(
      (name) => `paddock.v1.FileService/${name} s`,
    ),
  );
  assert.deepEqual(
    node.seen.slice(1, 3).map(({ requestId }) => requestId),
    ["r1", "r2"],
  );
  await assert.rejects(files().removeFile(AT), { reason: "INVALID_FIELD" });
  await assert.rejects(files().statFile({ ...AT, sandboxId: "none" }), { reason: "SANDBOX_NOT_FOUND" });
});

test("a read stops with a reader that stops, and ends at the node when its client leaves", async () => {
  let sent = 0;
  const left = Promise.withResolvers<void>();
  node.streams.copyFrom = async function* ({ offset, transferId }, { signal, metadata }) {
    signal.addEventListener("abort", () => left.resolve());
    assert.deepEqual([offset, transferId], [7n, "t"]);
    assert.ok(Number(metadata("paddock-generation")) > 0);
    yield read({ case: "started", value: {} });
    for (; ; sent += CHUNK) yield read(chunk(sent));
  };
  const responses = files()
    .copyFrom({ ...FILE, offset: 7n, transferId: "t" })
    [Symbol.asyncIterator]();
  assert.equal((await responses.next()).value?.message.case, "started");
  const underWay = await steady(() => sent);
  assert.ok(underWay > 0 && underWay < 8 * MIB, `${underWay} bytes are under way`);
  await responses.return?.();
  await left.promise;
});

test("a write stops at a node that does not read, and messages pass unchanged in both directions", async () => {
  const reads = Promise.withResolvers<void>();
  const cases: (string | undefined)[] = [];
  node.streams.copyTo = async function* (requests) {
    let bytes = 0n;
    for await (const { message } of requests) {
      if (cases.at(-1) !== message.case) cases.push(message.case);
      if (message.case === "start") {
        yield written({ case: "started", value: { offset: 0n } });
        await reads.promise;
      }
      if (message.case === "chunk") bytes += BigInt(message.value.data.length);
      if (message.case === "eof") {
        yield written({ case: "ack", value: { offset: bytes } });
        yield written({ case: "end", value: { totalBytes: bytes, warnings: ["one"] } });
      }
    }
  };
  const call = files().copyTo();
  const total = 16 * MIB;
  let sent = 0;
  const writing = (async () => {
    await call.write(start);
    for (; sent < total; sent += CHUNK) await call.write({ message: chunk(sent) });
    const sha256 = new Uint8Array(32);
    await call.write({ message: { case: "eof", value: { totalBytes: BigInt(total), sha256 } } });
    call.end();
  })();
  const underWay = await steady(() => sent);
  assert.ok(underWay > 0 && underWay < 8 * MIB, `${underWay} bytes are under way`);
  reads.resolve();
  const told: string[] = [];
  for await (const { message } of call)
    told.push(
      message.case === "end"
        ? `end ${message.value.totalBytes} ${message.value.warnings}`
        : `${message.case}`,
    );
  await writing;
  assert.deepEqual(told, ["started", "ack", `end ${total} one`]);
  assert.deepEqual(cases, ["start", "chunk", "eof"]);
});

test("a write without start, with a chunk that is too large or for an unknown sandbox is refused", async () => {
  const drained = async (call: AsyncIterable<unknown>) => {
    for await (const _ of call);
  };
  const early = files().copyTo();
  await early.write({ message: chunk(0) });
  await assert.rejects(drained(early), { reason: "INVALID_FIELD" });
  const large = files().copyTo();
  node.streams.copyTo = async function* (requests) {
    for await (const { message } of requests)
      yield written({ case: "ack", value: { offset: message.case ? 1n : 0n } });
  };
  await large.write(start);
  const data = new Uint8Array(256 * 1024 + 1);
  await large.write({ message: { case: "chunk", value: { offset: 0n, data } } });
  await assert.rejects(drained(large), { reason: "INVALID_FIELD" });
  const lost = files().copyTo();
  await lost.write({ message: { case: "start", value: { ...start.message.value, sandboxId: "none" } } });
  await assert.rejects(drained(lost), { reason: "SANDBOX_NOT_FOUND" });
});

test("reads and watches also stream over Connect and gRPC-Web, with their errors", async () => {
  node.streams.copyFrom = async function* () {
    yield read({ case: "started", value: {} });
    yield read(chunk(0));
    throw new PaddockError("DISK_FULL", "the disk is full");
  };
  node.streams.watchFiles = async function* () {
    yield create(WatchFilesResponseSchema, { message: { case: "started", value: {} } });
    yield create(WatchFilesResponseSchema, { message: { case: "missed", value: {} } });
  };
  const options = { baseUrl: `http://${bench.app.httpAddress}`, httpVersion: "1.1" } as const;
  for (const transport of [createConnectTransport(options), createGrpcWebTransport(options)]) {
    const client = createClient(FileService, transport);
    const cases: (string | undefined)[] = [];
    for await (const { message } of client.watchFiles(AT)) cases.push(message.case);
    assert.deepEqual(cases, ["started", "missed"]);
    let bytes = 0;
    await assert.rejects(
      async () => {
        for await (const { message } of client.copyFrom(FILE))
          if (message.case === "chunk") bytes += message.value.data.length;
      },
      (error) => fromConnectError(error).reason === "DISK_FULL",
    );
    assert.equal(bytes, CHUNK);
  }
});
