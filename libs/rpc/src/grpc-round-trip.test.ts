import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { PaddockError } from "@paddock/domain";
import {
  ExecResponseSchema,
  OutputStream,
  type ProcessOutput,
  ProcessOutputSchema,
  ProcessService,
  ReadLogsResponseSchema,
  WaitProcessResponseSchema,
} from "@paddock/protocol";
import type { CallContext } from "./call-context.ts";
import { GrpcConnection } from "./grpc-client.ts";
import { SERVER_OPTIONS } from "./grpc-limits.ts";
import { addGrpcMethods } from "./grpc-server.ts";
import { createRequestCheck } from "./request-check.ts";
import { bindService, type ServiceHandlers } from "./service-handlers.ts";

type NodeHandlers = ServiceHandlers<typeof ProcessService>;

const notHere = () => {
  throw new PaddockError("NOT_IMPLEMENTED", "not in this test");
};
const handlers: { -readonly [K in keyof NodeHandlers]: NodeHandlers[K] } = {
  exec: notHere,
  attach: notHere,
  waitProcess: notHere,
  signalProcess: notHere,
  resizeTty: notHere,
  readLogs: notHere,
};

const server = new Server(SERVER_OPTIONS);
const bugs: unknown[] = [];
let connection: GrpcConnection;

before(async () => {
  const current: NodeHandlers = {
    exec: (requests, ctx) => handlers.exec(requests, ctx),
    attach: (requests, ctx) => handlers.attach(requests, ctx),
    waitProcess: (request, ctx) => handlers.waitProcess(request, ctx),
    signalProcess: notHere,
    resizeTty: notHere,
    readLogs: (request, ctx) => handlers.readLogs(request, ctx),
  };
  addGrpcMethods(server, bindService(ProcessService, current), {
    check: createRequestCheck(),
    onBug: (error) => bugs.push(error),
  });
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

const client = () => connection.service(ProcessService);
const process = { sandboxId: "s", containerId: "c", execId: "e" };
const chunk = (offset: number, data: Uint8Array): ProcessOutput =>
  create(ProcessOutputSchema, {
    output: { case: "chunk", value: { stream: OutputStream.STDOUT, offset: BigInt(offset), data } },
  });
const stdin = (bytes: number) => ({
  message: {
    case: "input" as const,
    value: { input: { case: "stdin" as const, value: { data: new Uint8Array(bytes) } } },
  },
});

test("a unary call answers, and the handler sees deadline, metadata and peer", async () => {
  let seen: CallContext | undefined;
  handlers.waitProcess = async (request, ctx) => {
    seen = ctx;
    assert.equal(request.execId, "e");
    return create(WaitProcessResponseSchema, { status: { code: 7 } });
  };
  const begun = Date.now();
  const deadline = new Date(begun + 60_000);
  const answer = await client().waitProcess(process, {
    deadline,
    metadata: { "paddock-request-id": "r-1", traceparent: "00-aa-bb-01" },
  });
  assert.equal(answer.status?.code, 7);
  assert.equal(seen?.requestId, "r-1");
  assert.deepEqual(seen?.trace, { traceparent: "00-aa-bb-01" });
  assert.match(seen?.peer ?? "", /^127\.0\.0\.1:/);
  // The remaining time is sent, so the time in transit is added.
  const late = (seen?.deadline?.getTime() ?? 0) - deadline.getTime();
  assert.ok(late > -100 && late < Date.now() - begun + 100, `the deadline moved by ${late} ms`);
});

test("an error arrives with reason, metadata, hint, violations and retry delay", async () => {
  handlers.waitProcess = async () => {
    throw new PaddockError("WRONG_STATE", "container c of sandbox s is paused", {
      metadata: { actual_state: "paused" },
      hint: "resume it first",
      violations: [{ field: "a.b", description: "bad" }],
      retryAfterMs: 1500,
    });
  };
  await assert.rejects(client().waitProcess(process), (error) => {
    assert.ok(error instanceof PaddockError);
    assert.equal(error.reason, "WRONG_STATE");
    assert.equal(error.message, "container c of sandbox s is paused");
    assert.deepEqual(error.metadata, { actual_state: "paused" });
    assert.equal(error.hint, "resume it first");
    assert.deepEqual(error.violations, [{ field: "a.b", description: "bad" }]);
    assert.equal(error.retryAfterMs, 1500);
    return true;
  });
});

test("an unexpected error is INTERNAL without its cause, which the server reports", async () => {
  bugs.length = 0;
  const bug = new TypeError("secret");
  handlers.waitProcess = async () => {
    throw bug;
  };
  await assert.rejects(client().waitProcess(process), {
    reason: "INTERNAL",
    message: "internal error",
  });
  assert.deepEqual(bugs, [bug]);
});

test("a hostile id is refused with the path of its field, before the handler", async () => {
  handlers.waitProcess = async () => assert.fail("the handler ran");
  await assert.rejects(client().waitProcess({ ...process, sandboxId: "../etc" }), (error) => {
    assert.ok(error instanceof PaddockError);
    assert.equal(error.reason, "INVALID_FIELD");
    assert.deepEqual(
      error.violations.map((violation) => violation.field),
      ["sandbox_id"],
    );
    return true;
  });
});

test("a deadline ends a call whose handler ignores the signal", async () => {
  handlers.waitProcess = () => new Promise(() => {});
  const deadline = new Date(Date.now() + 50);
  await assert.rejects(client().waitProcess(process, { deadline }), { reason: "DEADLINE" });
});

test("a client that cancels aborts the handler's signal", async () => {
  const aborted = Promise.withResolvers<unknown>();
  const started = Promise.withResolvers<void>();
  handlers.waitProcess = (_request, ctx) => {
    ctx.signal.addEventListener("abort", () => aborted.resolve(ctx.signal.reason));
    started.resolve();
    return new Promise(() => {});
  };
  const controller = new AbortController();
  const call = client().waitProcess(process, { signal: controller.signal });
  await started.promise;
  controller.abort();
  await assert.rejects(call, { reason: "CANCELLED" });
  assert.equal((await aborted.promise) instanceof PaddockError, true);
});

test("a bidirectional stream carries bytes both ways, half-closes and ends", async () => {
  handlers.exec = async function* (requests) {
    let total = 0;
    for await (const request of requests) {
      const { message } = request;
      if (message.case !== "input" || message.value.input.case !== "stdin") continue;
      const { data } = message.value.input.value;
      yield create(ExecResponseSchema, { output: chunk(total, data) });
      total += data.length;
    }
  };
  const call = client().exec();
  await call.write({
    message: { case: "start", value: { sandboxId: "s", containerId: "c", process: {} } },
  });
  await call.write(stdin(3));
  await call.write(stdin(5));
  call.end();
  const sizes: number[] = [];
  for await (const response of call) {
    const output = response.output?.output;
    if (output?.case === "chunk") sizes.push(output.value.data.length);
  }
  assert.deepEqual(sizes, [3, 5]);
});

test("a client that does not read stops the handler, and one that disconnects ends it", async () => {
  let yielded = 0;
  const ended = Promise.withResolvers<void>();
  handlers.readLogs = async function* (_request, ctx) {
    ctx.signal.addEventListener("abort", () => ended.resolve());
    for (;;) {
      yield create(ReadLogsResponseSchema, { data: new Uint8Array(65_536) });
      yielded++;
    }
  };
  const call = client().readLogs({ sandboxId: "s", containerId: "c" });
  const iterator = call[Symbol.asyncIterator]();
  await iterator.next();
  let before = -1;
  // The handler is blocked if no message comes for a whole second.
  while (before !== yielded) {
    before = yielded;
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  assert.ok(
    yielded * 65_536 < 8 * 1024 * 1024,
    `${yielded} messages were sent to a client that does not read`,
  );
  await iterator.return?.();
  await ended.promise;
});

test("a write after the end of the call is rejected with the call's error", async () => {
  handlers.exec = () => {
    throw new PaddockError("CONTAINER_NOT_FOUND", "no container c in sandbox s");
  };
  const call = client().exec();
  await assert.rejects(
    async () => {
      for await (const _ of call) assert.fail("a response");
    },
    { reason: "CONTAINER_NOT_FOUND" },
  );
  await assert.rejects(call.write(stdin(1)), { reason: "CONTAINER_NOT_FOUND" });
});
