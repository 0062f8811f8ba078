import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, afterEach, before, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import {
  ContainerService,
  type CreateSandboxRequest,
  CreateSandboxResponseSchema,
  DeleteSandboxResponseSchema,
  GetSandboxResponseSchema,
  NodeService,
  NodeState,
  type nodepb,
  type RunSandboxRequest,
  SandboxService,
  SandboxState,
} from "@paddock/protocol";
import { startNats } from "../../../test/harness/nats.ts";
import { ApiBench, caught, eventually } from "./testing/api-bench.ts";
import type { FakeNode } from "./testing/fake-node.ts";

let bench: ApiBench;
let n1: FakeNode;
const sandboxes = () => bench.connection.service(SandboxService);
const containers = () => bench.connection.service(ContainerService);
const nodes = () => bench.connection.service(NodeService);

before(async () => {
  bench = await ApiBench.start(startNats);
  n1 = await bench.node("n1");
  await nodeIsKnown("n1");
});
after(() => bench[Symbol.asyncDispose]());
afterEach(() => {
  n1.commands = {};
  n1.seen.length = 0;
});

const nodeIsKnown = (nodeId: string) =>
  eventually(async () => {
    const { node } = await nodes().getNode({ nodeId });
    assert.equal(node?.state, NodeState.UP);
  });
const created = (
  request: CreateSandboxRequest | RunSandboxRequest,
  command: nodepb.CommandRequest,
  nodeId = "n1",
) =>
  create(CreateSandboxResponseSchema, {
    sandbox: { sandboxId: request.sandboxId, nodeId, generation: command.generation },
  });
const accept = async (body: CreateSandboxRequest, command: nodepb.CommandRequest) => created(body, command);
const refuse = (error: PaddockError) => async () => {
  throw error;
};

test("a create reaches the node with its id, request id, generation and a deadline a little before the client's", async () => {
  n1.commands.createSandbox = accept;
  const deadline = new Date(Date.now() + 20_000);
  const { sandbox } = await sandboxes().createSandbox(
    { requestId: "c1", sandboxId: "s1", spec: {} },
    { deadline },
  );
  assert.equal(sandbox?.sandboxId, "s1");
  const [command] = n1.seen;
  assert.equal(command?.requestId, "c1");
  assert.ok((command?.generation ?? 0n) > 0n);
  const nodeDeadlineMs = n1.deadlines[0]?.getTime() ?? 0;
  assert.ok(nodeDeadlineMs < deadline.getTime() && nodeDeadlineMs > deadline.getTime() - 2_000);
});

test("a create without a deadline is given 120 s, another call 30 s", async () => {
  n1.commands.createSandbox = accept;
  n1.commands.getSandbox = async (body) =>
    create(GetSandboxResponseSchema, { sandbox: { sandboxId: body.sandboxId } });
  await sandboxes().createSandbox({ requestId: "c2", sandboxId: "s2", spec: {} });
  await sandboxes().getSandbox({ sandboxId: "s2" });
  const left = n1.deadlines.slice(-2).map((deadline) => ((deadline?.getTime() ?? 0) - Date.now()) / 1000);
  assert.ok(Math.abs((left[0] ?? 0) - 120) < 3, String(left[0]));
  assert.ok(Math.abs((left[1] ?? 0) - 30) < 3, String(left[1]));
});

test("an id that is taken is refused before any node is asked, with a hint", async () => {
  n1.commands.createSandbox = accept;
  await sandboxes().createSandbox({ requestId: "c3", sandboxId: "s3", spec: {} });
  n1.seen.length = 0;
  const error = await caught(sandboxes().createSandbox({ requestId: "other", sandboxId: "s3", spec: {} }));
  assert.equal(error.reason, "SANDBOX_EXISTS");
  assert.ok(error.hint);
  assert.equal(n1.seen.length, 0);
});

test("the same request id returns the same sandbox, even with a generated id and the body in another order", async () => {
  n1.commands.createSandbox = accept;
  const first = await sandboxes().createSandbox({ requestId: "c4", spec: { labels: { a: "1", b: "2" } } });
  const second = await sandboxes().createSandbox({ requestId: "c4", spec: { labels: { b: "2", a: "1" } } });
  assert.match(
    first.sandbox?.sandboxId ?? "",
    /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
  );
  assert.equal(second.sandbox?.sandboxId, first.sandbox?.sandboxId);
  assert.equal(second.sandbox?.generation, first.sandbox?.generation, "the same placement was asked again");
  const other = await sandboxes().createSandbox({ requestId: "c5", spec: {} });
  assert.notEqual(other.sandbox?.sandboxId, first.sandbox?.sandboxId);
});

test("a request id with another body, or for another call, is refused", async () => {
  n1.commands.createSandbox = accept;
  await sandboxes().createSandbox({ requestId: "c6", spec: { hostname: "a" } });
  const other = await caught(sandboxes().createSandbox({ requestId: "c6", spec: { hostname: "b" } }));
  assert.equal(other.reason, "REQUEST_ID_REUSED");
  const run = await caught(sandboxes().runSandbox({ requestId: "c6", spec: { hostname: "a" } }));
  assert.equal(run.reason, "REQUEST_ID_REUSED");
});

test("a create that has definitely failed frees the id", async () => {
  n1.commands.createSandbox = refuse(new PaddockError("NO_DISK_SPACE", "the disk is full"));
  assert.equal(
    (await caught(sandboxes().createSandbox({ requestId: "c7", sandboxId: "s7", spec: {} }))).reason,
    "NO_DISK_SPACE",
  );
  n1.commands.createSandbox = accept;
  await sandboxes().createSandbox({ requestId: "c8", sandboxId: "s7", spec: {} });
});

test("a create whose outcome is unknown keeps the id, and a repeat of the request settles it", async () => {
  const never = Promise.withResolvers<never>();
  n1.commands.createSandbox = () => never.promise;
  const deadline = new Date(Date.now() + 400);
  const error = await caught(
    sandboxes().createSandbox({ requestId: "c9", sandboxId: "s9", spec: {} }, { deadline }),
  );
  assert.equal(error.reason, "DEADLINE");
  const taken = await caught(sandboxes().createSandbox({ requestId: "c10", sandboxId: "s9", spec: {} }));
  assert.equal(taken.reason, "SANDBOX_EXISTS");
  n1.commands.createSandbox = accept;
  const { sandbox } = await sandboxes().createSandbox({ requestId: "c9", sandboxId: "s9", spec: {} });
  assert.equal(sandbox?.sandboxId, "s9");
});

test("a client that cancels a create aborts it on the node, and the id is free once the node has undone it", async () => {
  const started = Promise.withResolvers<void>();
  n1.commands.createSandbox = (_body, _command, { signal }) =>
    new Promise((_resolve, reject) => {
      started.resolve();
      signal.addEventListener("abort", () => reject(signal.reason));
    });
  const controller = new AbortController();
  const call = sandboxes().createSandbox(
    { requestId: "c11", sandboxId: "s11", spec: {} },
    { signal: controller.signal },
  );
  await started.promise;
  controller.abort();
  assert.equal((await caught(call)).reason, "CANCELLED");
  n1.commands.createSandbox = accept;
  await eventually(() => sandboxes().createSandbox({ requestId: "c12", sandboxId: "s11", spec: {} }));
});

test("an error of the node reaches the client unchanged, with its details", async () => {
  n1.commands.createSandbox = accept;
  await sandboxes().createSandbox({ requestId: "c13", sandboxId: "s13", spec: {} });
  n1.commands.startSandbox = refuse(
    new PaddockError("WRONG_STATE", "sandbox s13 is paused", {
      metadata: { actual_state: "paused", allowed_states: "ready,stopped" },
      hint: "resume it",
      retryAfterMs: 250,
    }),
  );
  const error = await caught(sandboxes().startSandbox({ requestId: "x", sandboxId: "s13" }));
  assert.equal(error.reason, "WRONG_STATE");
  assert.equal(error.message, "sandbox s13 is paused");
  assert.equal(error.hint, "resume it");
  assert.equal(error.retryAfterMs, 250);
  assert.equal(error.metadata.allowed_states, "ready,stopped");
});

test("a delete frees the id; repeated with its request id it succeeds, with another it is NOT_FOUND", async () => {
  n1.commands.createSandbox = accept;
  await sandboxes().createSandbox({ requestId: "c14", sandboxId: "s14", spec: {} });
  n1.commands.deleteSandbox = async (body) => {
    if (body.requestId === "d14") return create(DeleteSandboxResponseSchema);
    throw new PaddockError("SANDBOX_NOT_FOUND", `no sandbox ${body.sandboxId}`);
  };
  await sandboxes().deleteSandbox({ requestId: "d14", sandboxId: "s14" });
  await sandboxes().deleteSandbox({ requestId: "d14", sandboxId: "s14" });
  assert.equal(
    (await caught(sandboxes().deleteSandbox({ requestId: "d15", sandboxId: "s14" }))).reason,
    "SANDBOX_NOT_FOUND",
  );
  await sandboxes().createSandbox({ requestId: "c15", sandboxId: "s14", spec: {} });
});

test("a container's status is the one in the sandbox's status, and an unknown container is NOT_FOUND", async () => {
  n1.commands.createSandbox = accept;
  await sandboxes().createSandbox({ requestId: "c16", sandboxId: "s16", spec: {} });
  n1.commands.getSandbox = async () =>
    create(GetSandboxResponseSchema, {
      sandbox: {
        status: { sandboxId: "s16", state: SandboxState.RUNNING, containers: [{ containerId: "c", pid: 7 }] },
      },
    });
  const { container } = await containers().getContainerStatus({ sandboxId: "s16", containerId: "c" });
  assert.equal(container?.pid, 7);
  assert.equal(
    (await sandboxes().getSandboxStatus({ sandboxId: "s16" })).status?.state,
    SandboxState.RUNNING,
  );
  const error = await caught(containers().getContainerStatus({ sandboxId: "s16", containerId: "other" }));
  assert.equal(error.reason, "CONTAINER_NOT_FOUND");
});

test("calls that do not exist yet are UNIMPLEMENTED by name", async () => {
  const node = { nodeId: "n1" };
  const drained = async () => {
    for await (const _ of nodes().drainNode(node));
  };
  const calls: Record<string, () => Promise<unknown>> = {
    "NodeService.CordonNode": () => nodes().cordonNode(node),
    "NodeService.UncordonNode": () => nodes().uncordonNode(node),
    "NodeService.DrainNode": drained,
  };
  const table = readFileSync(new URL("../../../proto/README.md", import.meta.url), "utf8");
  const missing = [...table.matchAll(/\| (\w+\.\w+) \| not implemented yet \|/g)].map(([, name]) => name);
  assert.deepEqual(Object.keys(calls).sort(), missing.sort());
  for (const [name, call] of Object.entries(calls)) {
    const error = await caught(call());
    assert.equal(error.reason, "NOT_IMPLEMENTED", name);
    assert.equal(error.metadata.method, `paddock.v1.${name.replace(".", "/")}`);
  }
});

test("a request too large for the bus is refused with a reason, and the next one works", async () => {
  n1.commands.createSandbox = accept;
  const annotations = Object.fromEntries(Array.from({ length: 64 }, (_, i) => [`k${i}`, "x".repeat(4096)]));
  const content = new Uint8Array(786_432);
  const mounts = [{ destination: "/f", source: { case: "file" as const, value: { content } } }];
  const spec = { annotations, containers: [{ containerId: "c", image: "x", mounts }] };
  assert.equal(
    (await caught(sandboxes().createSandbox({ requestId: "c17", sandboxId: "s17", spec }))).reason,
    "TOO_LARGE",
  );
  await sandboxes().createSandbox({ requestId: "c18", sandboxId: "s17", spec: {} });
});

test("no part of a request's body is in the logs, at any level", async () => {
  n1.commands.createSandbox = accept;
  const process = { args: ["sh"], env: ["PASSWORD=hunter2"] };
  await sandboxes().createSandbox({
    requestId: "c19",
    spec: { containers: [{ containerId: "c", image: "x", process }] },
  });
  assert.ok(bench.logs.length > 0);
  assert.ok(!bench.logs.join("").includes("hunter2"));
});

test("a full node is skipped, and the sandbox is on the node that accepted it", async () => {
  const n2 = await bench.node("n2");
  await nodeIsKnown("n2");
  n1.commands.createSandbox = refuse(new PaddockError("NO_CAPACITY", "full"));
  n2.commands.createSandbox = async (body, command) => created(body, command, "n2");
  n2.commands.getSandbox = async () => create(GetSandboxResponseSchema, { sandbox: { nodeId: "n2" } });
  for (const index of [1, 2, 3, 4]) {
    const request = { requestId: `m${index}`, sandboxId: `m${index}`, spec: {} };
    assert.equal((await sandboxes().createSandbox(request)).sandbox?.nodeId, "n2");
    assert.equal((await sandboxes().getSandbox({ sandboxId: `m${index}` })).sandbox?.nodeId, "n2");
  }
  n2.commands.createSandbox = refuse(new PaddockError("NO_CAPACITY", "full too"));
  assert.equal(
    (await caught(sandboxes().createSandbox({ requestId: "m5", sandboxId: "m5", spec: {} }))).reason,
    "NO_CAPACITY",
  );
  assert.equal((await caught(sandboxes().getSandbox({ sandboxId: "m5" }))).reason, "SANDBOX_NOT_FOUND");
});

test("a node that is down is UNAVAILABLE at once, with its name", async () => {
  const n3 = await bench.node("n3");
  await nodeIsKnown("n3");
  n3.commands.createSandbox = async (body, command) => created(body, command, "n3");
  n1.commands.createSandbox = refuse(new PaddockError("NO_CAPACITY", "full"));
  await sandboxes()
    .createSandbox({ requestId: "g1", sandboxId: "g1", spec: {} })
    .catch(() => {});
  await n3.closeCommands();
  const began = performance.now();
  const error = await caught(sandboxes().stopSandbox({ requestId: "g2", sandboxId: "g1" }));
  assert.equal(error.reason, "NODE_UNAVAILABLE");
  assert.equal(error.metadata.node_id, "n3");
  assert.ok(performance.now() - began < 2_000);
});
