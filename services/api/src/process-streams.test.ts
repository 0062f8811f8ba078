import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import {
  ContainerService,
  ProcessService,
  ReadLogsResponseSchema,
  SandboxService,
  WaitProcessResponseSchema,
  WatchContainerStatsResponseSchema,
  WatchSandboxStatsResponseSchema,
} from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import { startNats } from "../../../test/harness/nats.ts";
import { ApiBench, eventually, placeSandbox } from "./testing/api-bench.ts";
import { cuttableWire } from "./testing/cuttable-wire.ts";
import {
  bytesAt,
  CHUNK,
  chunk,
  drained,
  exited,
  input,
  inputsOf,
  start,
  stdin,
} from "./testing/exec-messages.ts";
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

const processes = () => bench.connection.service(ProcessService);

test("a client that does not read stops the node, and only output that it took is acknowledged", async () => {
  let yielded = 0;
  let acked = 0n;
  node.streams.exec = async function* (requests) {
    inputsOf(requests, (each) => {
      if (each.case === "ack") acked = each.value.stdoutOffset;
    }).catch(() => {});
    for (let offset = 0; ; offset += CHUNK) {
      yield chunk(offset, bytesAt(offset));
      yielded = offset + CHUNK;
    }
  };
  const call = processes().exec();
  await call.write(start());
  const iterator = call[Symbol.asyncIterator]();
  await iterator.next();
  let before = -1;
  while (before !== yielded) {
    before = yielded;
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  assert.ok(yielded < 8 * MIB, `${yielded} bytes are in flight to a client that does not read`);
  assert.ok(acked <= BigInt(yielded) && acked < 4n * BigInt(MIB), `${acked} bytes are acknowledged`);
  await iterator.return?.();
});

test("a client that acknowledges itself gets no acks on its behalf, and its acks and half-close reach the node", async () => {
  const seen: string[] = [];
  const clientDone = Promise.withResolvers<void>();
  node.streams.exec = async function* (requests) {
    const inputs = inputsOf(requests, (each) => {
      seen.push(each.case === "ack" ? `ack ${each.value.stdoutOffset}` : String(each.case));
    }).then(() => clientDone.resolve());
    inputs.catch(() => {});
    for (let offset = 0; offset < MIB; offset += CHUNK) yield chunk(offset, bytesAt(offset));
    await clientDone.promise;
    yield exited();
  };
  const call = processes().exec();
  await call.write(start(true));
  for await (const { output } of call) {
    if (output?.output.case !== "chunk" || output.output.value.offset !== BigInt(MIB - CHUNK)) continue;
    await call.write(
      input({
        case: "ack",
        value: { $typeName: "paddock.v1.OutputAck", stdoutOffset: 7n, stderrOffset: 0n },
      }),
    );
    call.end();
  }
  assert.deepEqual(seen, ["ack 7"]);
});

test("a client that half-closes at once gets all output, acknowledged on its behalf", async () => {
  const acked = Promise.withResolvers<void>();
  node.streams.exec = async function* (requests) {
    inputsOf(requests, (each) => {
      if (each.case === "ack" && each.value.stdoutOffset === BigInt(MIB)) acked.resolve();
    }).catch(() => {});
    for (let offset = 0; offset < MIB; offset += CHUNK) yield chunk(offset, bytesAt(offset));
    await acked.promise;
    yield exited();
  };
  const call = processes().exec();
  await call.write(start());
  call.end();
  let bytes = 0;
  for await (const { output } of call)
    if (output?.output.case === "chunk") bytes += output.output.value.data.length;
  assert.equal(bytes, MIB);
});

test("the cancellation and the deadline of a client reach the node", async () => {
  const contexts: CallContext[] = [];
  node.streams.exec = async function* (_requests, ctx) {
    contexts.push(ctx);
    yield chunk(0, bytesAt(0));
    await new Promise((_resolve, reject) => {
      ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason));
    });
  };
  const deadline = new Date(Date.now() + 60_000);
  const call = processes().exec({ deadline, metadata: { "paddock-request-id": "trace-me" } });
  await call.write(start());
  for await (const _ of call) break;
  await eventually(() => assert.equal(contexts[0]?.signal.aborted, true));
  assert.ok(Math.abs((contexts[0]?.deadline?.getTime() ?? 0) - deadline.getTime()) < 1_000);
  assert.equal(contexts[0]?.requestId, "trace-me");
  const unlimited = processes().exec();
  await unlimited.write(start());
  for await (const _ of unlimited) break;
  assert.equal(contexts[1]?.deadline, undefined, "a stream has no default deadline");
});

test("a stream without start, or with a second start, is INVALID_FIELD, and the call to the node is cancelled", async () => {
  const aborted = Promise.withResolvers<void>();
  node.streams.exec = async function* (_requests, ctx) {
    ctx.signal.addEventListener("abort", () => aborted.resolve());
    yield chunk(0, bytesAt(0));
    await new Promise(() => {});
  };
  const late = processes().exec();
  await late.write(stdin(new Uint8Array(1)));
  await assert.rejects(drained(late), { reason: "INVALID_FIELD" });
  const twice = processes().exec();
  await twice.write(start());
  await twice.write(start());
  await assert.rejects(drained(twice), { reason: "INVALID_FIELD" });
  await aborted.promise;
  const empty = processes().exec();
  empty.end();
  await assert.rejects(drained(empty), { reason: "INVALID_FIELD" });
  const oversized = processes().exec();
  await oversized.write(start());
  await oversized.write(stdin(new Uint8Array(MIB + 1)));
  await assert.rejects(drained(oversized), (error) => {
    assert.ok(error instanceof PaddockError);
    assert.deepEqual(
      error.violations.map(({ field }) => field),
      ["input.stdin.data"],
    );
    return true;
  });
});

test("a message above 4 MiB is refused, and the connection still works", async () => {
  const call = processes().exec();
  await call.write(start()).catch(() => {});
  await assert.rejects(
    call.write(stdin(new Uint8Array(5 * MIB))).then(() => drained(call)),
    {
      kind: "resource_exhausted",
    },
  );
  await assert.rejects(processes().waitProcess({ sandboxId: "none", containerId: "c", execId: "e" }), {
    reason: "SANDBOX_NOT_FOUND",
  });
});

test("an error of the node on a stream reaches the client with its metadata", async () => {
  node.streams.attach = () => {
    throw new PaddockError("OFFSET_NOT_HELD", "stdout is held from 42 on", {
      metadata: { earliest_offset: "42" },
    });
  };
  const call = processes().attach();
  await call.write({ message: { case: "start", value: { sandboxId: "s", containerId: "c", execId: "e" } } });
  await assert.rejects(drained(call), (error) => {
    assert.ok(error instanceof PaddockError);
    assert.equal(error.reason, "OFFSET_NOT_HELD");
    assert.equal(error.metadata.earliest_offset, "42");
    return true;
  });
});

test("waits, logs and statistics are forwarded as they arrive", async () => {
  node.streams.waitProcess = async (_request, ctx) => {
    assert.equal(ctx.deadline, undefined, "the client decides how long a wait lasts");
    return create(WaitProcessResponseSchema, { status: { code: 3 } });
  };
  const { status } = await processes().waitProcess({ sandboxId: "s", containerId: "c", execId: "e" });
  assert.equal(status?.code, 3);
  node.streams.readLogs = async function* () {
    yield create(ReadLogsResponseSchema, { data: new Uint8Array([1]) });
    yield create(ReadLogsResponseSchema, { data: new Uint8Array([2]) });
  };
  const logs: number[] = [];
  for await (const { data } of processes().readLogs({ sandboxId: "s", containerId: "c" })) logs.push(...data);
  assert.deepEqual(logs, [1, 2]);
  node.streams.watchContainerStats = async function* () {
    yield create(WatchContainerStatsResponseSchema, { cpuPercent: 12.5 });
  };
  const containers = bench.connection.service(ContainerService);
  for await (const { cpuPercent } of containers.watchContainerStats({ sandboxId: "s", containerId: "c" })) {
    assert.equal(cpuPercent, 12.5);
  }
});

test("statistics of a sandbox arrive as its node reads them until the client disconnects; an interval out of range is refused", async () => {
  const asked: (number | undefined)[] = [];
  const left = Promise.withResolvers<void>();
  node.streams.watchSandboxStats = async function* ({ interval }, ctx) {
    asked.push(interval?.nanos);
    ctx.signal.addEventListener("abort", () => left.resolve());
    for (let cpuPercent = 0; ; cpuPercent += 25)
      yield create(WatchSandboxStatsResponseSchema, { cpuPercent });
  };
  const sandboxes = bench.connection.service(SandboxService);
  const watch = (nanos: number) => sandboxes.watchSandboxStats({ sandboxId: "s", interval: { nanos } });
  const reported: number[] = [];
  for await (const { cpuPercent } of watch(200_000_000)) if (reported.push(cpuPercent) === 3) break;
  await left.promise;
  assert.deepEqual([reported, asked], [[0, 25, 50], [200_000_000]]);
  const error = await drained(watch(1_000)).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof PaddockError && error.reason === "INVALID_FIELD");
  assert.deepEqual(
    error.violations.map(({ field }) => field),
    ["interval"],
  );
});

test("a node that is lost during a stream gives NODE_UNAVAILABLE with its name, and the next stream reaches it again", async () => {
  const direct = node.streamAddress;
  const wire = await cuttableWire(direct);
  await node.advertise(wire.address);
  node.streams.exec = async function* (_requests, ctx) {
    yield chunk(0, bytesAt(0));
    await new Promise((_resolve, reject) => ctx.signal.addEventListener("abort", reject));
  };
  await eventually(async () => {
    const early = processes().exec();
    await early.write(start());
    for await (const _ of early) break;
    assert.ok(wire.used(), "the api uses the new address");
  });
  const call = processes().exec();
  await call.write(start());
  await assert.rejects(
    async () => {
      for await (const _ of call) wire.cut();
    },
    (error) => {
      assert.ok(error instanceof PaddockError);
      assert.equal(error.reason, "NODE_UNAVAILABLE");
      assert.equal(error.metadata.node_id, "n1");
      return true;
    },
  );
  await node.advertise(direct);
  node.streams.exec = async function* () {
    yield exited();
  };
  await eventually(async () => {
    const again = processes().exec();
    await again.write(start());
    await drained(again);
  });
});
