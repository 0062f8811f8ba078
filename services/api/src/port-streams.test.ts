import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import { type PortForwardRequest, PortForwardResponseSchema, SandboxService } from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import { startNats } from "../../../test/harness/nats.ts";
import { ApiBench, eventually, placeSandbox } from "./testing/api-bench.ts";
import { bytesAt, CHUNK } from "./testing/exec-messages.ts";
import type { FakeNode } from "./testing/fake-node.ts";

const MIB = 1024 * 1024;
let bench: ApiBench;
let node: FakeNode;

before(async () => {
  bench = await ApiBench.start(startNats);
  node = await bench.node("n1");
  await placeSandbox(bench.connection, node);
});
after(() => bench[Symbol.asyncDispose]());

const sandboxes = () => bench.connection.service(SandboxService);
const start = { message: { case: "start" as const, value: { sandboxId: "s", port: 80 } } };
const eof = { message: { case: "eof" as const, value: {} } };
const data = (value: Uint8Array) => ({ message: { case: "data" as const, value } });
const response = (init: MessageInitShape<typeof PortForwardResponseSchema>) =>
  create(PortForwardResponseSchema, init);
const connected = () => response({ message: { case: "connected", value: { address: "127.0.0.1" } } });

async function drained(call: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of call);
}

/** Resolves with the value when it no longer changes. */
async function settled(value: () => number): Promise<number> {
  for (let before = -1; before !== value(); ) {
    before = value();
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  return value();
}

test("bytes and the end of each direction pass the api unchanged, with the generation of the placement", async () => {
  const generations: (string | undefined)[] = [];
  node.streams.portForward = async function* (requests: AsyncIterable<PortForwardRequest>, ctx: CallContext) {
    generations.push(ctx.metadata("paddock-generation"));
    for await (const { message } of requests) {
      if (message.case === "start") yield connected();
      if (message.case === "data") yield response(data(message.value));
      if (message.case === "eof") yield response(eof);
    }
    yield response({ message: { case: "reset", value: { reason: "after the end" } } });
  };
  const call = sandboxes().portForward();
  await call.write(start);
  await call.write(data(bytesAt(0)));
  await call.write(eof);
  call.end();
  const cases: (string | undefined)[] = [];
  for await (const { message } of call) {
    cases.push(message.case);
    if (message.case === "data") assert.deepEqual(Buffer.from(message.value), Buffer.from(bytesAt(0)));
  }
  assert.deepEqual(cases, ["connected", "data", "eof", "reset"]);
  assert.equal(generations.length, 1);
  assert.ok(Number(generations[0]) > 0);
});

test("a client that does not read stops the node, and its own bytes still pass", async () => {
  let [yielded, arrived] = [0, 0];
  node.streams.portForward = async function* (requests) {
    void (async () => {
      for await (const { message } of requests) if (message.case === "data") arrived += message.value.length;
    })().catch(() => {});
    for (;;) {
      yield response(data(bytesAt(0)));
      yielded += CHUNK;
    }
  };
  const call = sandboxes().portForward();
  await call.write(start);
  const responses = call[Symbol.asyncIterator]();
  await responses.next();
  for (let at = 0; at < 4 * MIB; at += CHUNK) await call.write(data(bytesAt(0)));
  await eventually(() => assert.equal(arrived, 4 * MIB));
  const underWay = await settled(() => yielded);
  assert.ok(underWay < 8 * MIB, `${underWay} bytes are under way to a client that does not read`);
  await responses.return?.();
});

test("a node that does not read stops its client", async () => {
  node.streams.portForward = async function* (requests) {
    await requests[Symbol.asyncIterator]().next();
    yield connected();
    await new Promise(() => {});
  };
  const call = sandboxes().portForward();
  let written = 0;
  const writing = (async () => {
    await call.write(start);
    for (; ; written += CHUNK) await call.write(data(bytesAt(0)));
  })();
  const underWay = await settled(() => written);
  assert.ok(
    underWay > 0 && underWay < 8 * MIB,
    `${underWay} bytes are under way to a node that does not read`,
  );
  call.cancel();
  await assert.rejects(writing);
});

test("a cancelled call reaches the node, and an error of the node its client", async () => {
  const left = Promise.withResolvers<void>();
  node.streams.portForward = async function* (_requests, { signal }) {
    signal.addEventListener("abort", () => left.resolve());
    yield connected();
    await new Promise(() => {});
  };
  const call = sandboxes().portForward();
  await call.write(start);
  for await (const _ of call) break;
  await left.promise;
  node.streams.portForward = () => {
    throw new PaddockError("PORT_REFUSED", "nothing listens on port 80 in sandbox s");
  };
  const refused = sandboxes().portForward();
  await refused.write(start);
  await assert.rejects(drained(refused), {
    reason: "PORT_REFUSED",
    message: "nothing listens on port 80 in sandbox s",
  });
});

test("a stream without start, of a port that is none, or of an unknown sandbox is refused", async () => {
  const late = sandboxes().portForward();
  await late.write(eof);
  await assert.rejects(drained(late), { reason: "INVALID_FIELD" });
  const port = sandboxes().portForward();
  await port.write({ message: { case: "start", value: { sandboxId: "s", port: 70_000 } } });
  await assert.rejects(drained(port), (error) => {
    assert.ok(error instanceof PaddockError && error.reason === "INVALID_FIELD");
    assert.deepEqual(
      error.violations.map(({ field }) => field),
      ["start.port"],
    );
    return true;
  });
  const unknown = sandboxes().portForward();
  await unknown.write({ message: { case: "start", value: { sandboxId: "none", port: 80 } } });
  await assert.rejects(drained(unknown), { reason: "SANDBOX_NOT_FOUND" });
});
