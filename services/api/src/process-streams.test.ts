import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import {
  ContainerService,
  CreateSandboxResponseSchema,
  NodeService,
  nodepb,
  OutputStream,
  type ProcessInput,
  type ProcessOutputSchema,
  ProcessService,
  SandboxService,
} from "@paddock/protocol";
import { type CallContext, GrpcConnection } from "@paddock/rpc";
import { type ChildService, startService } from "../../../test/harness/child-service.ts";
import { startNats } from "../../../test/harness/nats.ts";
import { eventually } from "./testing/api-bench.ts";
import { FakeNode } from "./testing/fake-node.ts";

// The api is a process of its own here, so that its memory is its own.
const directory = mkdtempSync(join(tmpdir(), "streams-"));
const cleanUp = new AsyncDisposableStack();
cleanUp.defer(() => rmSync(directory, { recursive: true }));
let api: ChildService;
let node: FakeNode;
let connection: GrpcConnection;

const MIB = 1024 * 1024;
const BIG = 100 * MIB;
const CHUNK = 65_536;

before(async () => {
  const nats = await startNats(directory);
  cleanUp.defer(() => nats.stop());
  api = await startService(
    "api",
    {
      PADDOCK_NATS_URL: nats.url,
      PADDOCK_API_GRPC_ADDRESS: "127.0.0.1:0",
      PADDOCK_API_HTTP_ADDRESS: "127.0.0.1:0",
    },
    join(directory, "api.log"),
  );
  cleanUp.defer(async () => assert.equal(await api.stop(), 0, "the api goes down in order"));
  node = cleanUp.use(await FakeNode.start("n1", nats.url));
  connection = cleanUp.use(new GrpcConnection(api.ready.grpcAddress ?? ""));
  node.commands.createSandbox = async (body) =>
    create(CreateSandboxResponseSchema, { sandbox: { sandboxId: body.sandboxId } });
  await eventually(() => connection.service(NodeService).getNode({ nodeId: "n1" }));
  await connection.service(SandboxService).createSandbox({ requestId: "r", sandboxId: "s", spec: {} });
});
after(() => cleanUp.disposeAsync());

const processes = () => connection.service(ProcessService);
const start = (explicitAck = false) => ({
  message: {
    case: "start" as const,
    value: { sandboxId: "s", containerId: "c", process: { args: ["x"] }, explicitAck },
  },
});
const input = (value: ProcessInput["input"]) => ({
  message: { case: "input" as const, value: { input: value } },
});
const stdin = (data: Uint8Array) =>
  input({ case: "stdin", value: { $typeName: "paddock.v1.StdinData", data } });
const respond = (output: MessageInitShape<typeof ProcessOutputSchema>) =>
  create(nodepb.ExecResponseSchema, { response: { output } });
const chunk = (offset: number, data: Uint8Array) =>
  respond({
    output: { case: "chunk", value: { stream: OutputStream.STDOUT, offset: BigInt(offset), data } },
  });
const exited = () => respond({ output: { case: "exited", value: { code: 0 } } });

/** Different bytes for each offset, so that a doubled or swapped chunk changes the digest. */
function bytesAt(offset: number): Uint8Array {
  const data = new Uint8Array(CHUNK);
  new DataView(data.buffer).setFloat64(0, offset);
  data.fill((offset / CHUNK) % 251, 8);
  return data;
}
const peakMemory = (): number => {
  const status = readFileSync(`/proc/${api.process.pid}/status`, "utf8");
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
};
/** What the node is sent after `start`, by kind, until the client's side ends. */
function inputsOf(
  requests: AsyncIterable<nodepb.ExecRequest>,
  onInput: (input: ProcessInput["input"]) => void,
) {
  return (async () => {
    for await (const { request } of requests) {
      if (request?.message.case === "input") onInput(request.message.value.input);
    }
  })();
}

test("100 MB of output arrive byte for byte, in bounded memory, acknowledged on the client's behalf", async () => {
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
    "acks only rise",
  );
  assert.ok(acks.length <= BIG / (256 * 1024) + 20, `${acks.length} acks are not coalesced`);
  const grown = peakMemory() - before;
  assert.ok(grown < 96 * MIB, `the api grew by ${grown} bytes`);
});

test("100 MB of input arrive byte for byte, in bounded memory, at the pace of a slow node", async () => {
  const received = createHash("sha256");
  const finished = Promise.withResolvers<void>();
  node.streams.exec = async function* (requests) {
    for await (const { request } of requests) {
      const each = request?.message.case === "input" ? request.message.value.input : undefined;
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

test("a client that does not read stops the node, and nothing is acknowledged that it did not take", async () => {
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
  assert.ok(yielded < 8 * MIB, `${yielded} bytes are under way to a client that does not read`);
  assert.ok(acked <= BigInt(yielded) && acked < 4n * BigInt(MIB), `${acked} bytes are acknowledged`);
  await iterator.return?.();
});

test("a client that acknowledges by itself is not acknowledged for, and its acks and half-close arrive", async () => {
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

test("a client that half-closes at once still gets all output, acknowledged on its behalf", async () => {
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

test("a client's cancellation and its deadline reach the node", async () => {
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
  assert.equal(contexts[1]?.deadline, undefined, "a stream has no deadline of its own");
});

test("a stream that does not begin with start, or starts again, is INVALID_ARGUMENT, and the node's call is given up", async () => {
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

test("a message beyond 4 MiB is refused, and the connection still serves", async () => {
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

test("an error of the node on a stream arrives with its metadata", async () => {
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

test("waits, logs and figures are forwarded as they come", async () => {
  node.streams.waitProcess = async (_request, ctx) => {
    assert.equal(ctx.deadline, undefined, "a wait lasts as long as the client wants");
    return create(nodepb.WaitProcessResponseSchema, { response: { status: { code: 3 } } });
  };
  const { status } = await processes().waitProcess({ sandboxId: "s", containerId: "c", execId: "e" });
  assert.equal(status?.code, 3);
  node.streams.readLogs = async function* () {
    yield create(nodepb.ReadLogsResponseSchema, { response: { data: new Uint8Array([1]) } });
    yield create(nodepb.ReadLogsResponseSchema, { response: { data: new Uint8Array([2]) } });
  };
  const logs: number[] = [];
  for await (const { data } of processes().readLogs({ sandboxId: "s", containerId: "c" })) logs.push(...data);
  assert.deepEqual(logs, [1, 2]);
  node.streams.watchContainerStats = async function* () {
    yield create(nodepb.WatchContainerStatsResponseSchema, { response: { cpuPercent: 12.5 } });
  };
  const containers = connection.service(ContainerService);
  for await (const { cpuPercent } of containers.watchContainerStats({ sandboxId: "s", containerId: "c" })) {
    assert.equal(cpuPercent, 12.5);
  }
});

test("a node that is lost during a stream is NODE_UNAVAILABLE by name, and the next stream finds it again", async () => {
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
    assert.ok(wire.used(), "the api has taken the new address");
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

/** A way to an address that can be cut, as a host that loses power cuts it. */
async function cuttableWire(target: string) {
  const [host, port] = target.split(":");
  const sockets: Socket[] = [];
  const server = createServer((near) => {
    const far = connect(Number(port), host);
    sockets.push(near, far);
    for (const each of [near, far]) each.on("error", () => {});
    near.pipe(far).pipe(near);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const bound = server.address();
  assert.ok(bound !== null && typeof bound === "object");
  return {
    address: `127.0.0.1:${bound.port}`,
    used: () => sockets.length > 0,
    cut: () => {
      server.close();
      for (const each of sockets) each.destroy();
    },
  };
}

async function drained(responses: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of responses);
}
