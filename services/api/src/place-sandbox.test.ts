import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Bus, PlacementRegistry } from "@paddock/bus";
import { PaddockError, withUnknownOutcome } from "@paddock/domain";
import {
  type CreateSandboxRequest,
  CreateSandboxResponseSchema,
  GetSandboxResponseSchema,
  NodeService,
  nodepb,
  SandboxService,
} from "@paddock/protocol";
import { startNats } from "../../../test/harness/nats.ts";
import { ApiBench, caught, eventually } from "./testing/api-bench.ts";
import type { FakeNode } from "./testing/fake-node.ts";

let bench: ApiBench;
let n1: FakeNode;
let n2: FakeNode;
/** How far the clock of claims is ahead, in milliseconds. */
let aheadMs = 0;
const sandboxes = () => bench.connection.service(SandboxService);
const seen = (node: FakeNode) => node.seen.map(({ method }) => method.split("/")[1]);

before(async () => {
  bench = await ApiBench.start(startNats, {}, { monotonicMs: () => performance.now() + aheadMs });
  n1 = await bench.node("n1");
  n2 = await bench.node("n2");
  // Busier, so that n1 is the first choice.
  await n2.beat(8n * 1024n ** 3n);
  await eventually(async () => {
    const { nodes } = await bench.connection.service(NodeService).listNodes({});
    assert.deepEqual(
      nodes.map(({ allocated }) => allocated?.memoryBytes),
      [0n, 8n * 1024n ** 3n],
    );
  });
});
after(() => bench[Symbol.asyncDispose]());
afterEach(() => {
  for (const node of [n1, n2]) {
    node.commands = {};
    node.seen.length = 0;
  }
});

const made = (nodeId: string) => async (body: CreateSandboxRequest, command: nodepb.CommandRequest) =>
  create(CreateSandboxResponseSchema, {
    sandbox: { sandboxId: body.sandboxId, nodeId, generation: command.generation },
  });
const found = (nodeId: string) => async () => create(GetSandboxResponseSchema, { sandbox: { nodeId } });
const refuse = (error: unknown) => async () => {
  throw error;
};
const request = (sandboxId: string, requestId = `by-${sandboxId}`) => ({ requestId, sandboxId, spec: {} });

test("a repeat that fails, for any reason, keeps the id of the sandbox that an earlier attempt created", async () => {
  n1.commands.createSandbox = made("n1");
  await sandboxes().createSandbox(request("s1"));
  n1.commands.getSandbox = found("n1");
  n2.commands.createSandbox = made("n2");
  for (const reason of ["TOO_MANY", "SHUTTING_DOWN", "DEADLINE", "CANCELLED", "NO_CAPACITY"] as const) {
    n1.commands.createSandbox = refuse(new PaddockError(reason, "not now"));
    assert.equal((await caught(sandboxes().createSandbox(request("s1")))).reason, reason);
    assert.equal((await sandboxes().getSandbox({ sandboxId: "s1" })).sandbox?.nodeId, "n1");
    const other = await caught(sandboxes().createSandbox(request("s1", "other")));
    assert.equal(other.reason, "SANDBOX_EXISTS");
  }
  assert.deepEqual(n2.seen, []);
});

test("a first attempt with unknown outcome, or an internal error, keeps the id", async () => {
  const failures = [
    withUnknownOutcome(new PaddockError("NO_DISK_SPACE", "the outcome could not be kept")),
    new Error("a bug"),
  ];
  for (const [index, failure] of failures.entries()) {
    n1.commands.createSandbox = refuse(failure);
    const asked = request(`unsure-${index}`);
    await caught(sandboxes().createSandbox(asked));
    const other = await caught(sandboxes().createSandbox({ ...asked, requestId: "other" }));
    assert.equal(other.reason, "SANDBOX_EXISTS");
  }
  assert.deepEqual(n2.seen, []);
});

for (const reason of ["IMAGE_NOT_FOUND", "VM_UNAVAILABLE"] as const)
  test(`a first attempt that fails with ${reason} neither releases nor moves a claim that its repeat has renewed`, async () => {
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const reached = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let attempts = 0;
    n1.commands.createSandbox = async (body, command) => {
      const attempt = attempts++;
      reached[attempt]?.resolve();
      await gates[attempt]?.promise;
      if (attempt === 0) throw new PaddockError(reason, "the first fails");
      return made("n1")(body, command);
    };
    n2.commands.createSandbox = made("n2");
    n1.commands.getSandbox = found("n1");
    const sandboxId = `renewed-${reason}`;
    const first = sandboxes()
      .createSandbox(request(sandboxId))
      .catch((error: unknown) => error);
    await reached[0]?.promise;
    const second = sandboxes().createSandbox(request(sandboxId));
    await reached[1]?.promise;
    gates[0]?.resolve();
    // One that would look for another node asks about the claim again, and comes to the same.
    if (reason === "VM_UNAVAILABLE") await first;
    gates[1]?.resolve();
    assert.equal((await second).sandbox?.nodeId, "n1");
    await first;
    assert.equal((await sandboxes().getSandbox({ sandboxId })).sandbox?.nodeId, "n1");
    assert.deepEqual(n2.seen, []);
  });

test("the next create releases an old claim of a sandbox that its node does not have, and keeps it while the node does not answer", async () => {
  await using bus = new Bus({ url: bench.nats.url, name: "test" });
  await bus.ready;
  await using registry = new PlacementRegistry(bus);
  const claim = (sandboxId: string) =>
    registry.claim(
      create(nodepb.PlacementSchema, {
        sandboxId,
        nodeId: "n2",
        generation: 1n,
        requestId: "long-ago",
        // By the clock of an api that is an hour ahead.
        claimedAt: timestampFromMs(Date.now() + 3_600_000),
      }),
    );
  await claim("old");
  const early = await caught(sandboxes().createSandbox(request("old")));
  assert.equal(early.reason, "SANDBOX_EXISTS");
  assert.deepEqual(seen(n2), [], "a claim that was just received is young");
  aheadMs += 600_000;
  n1.commands.createSandbox = made("n1");
  for (const error of [new PaddockError("TOO_MANY", "busy"), undefined]) {
    n2.commands.getSandbox = error === undefined ? found("n2") : refuse(error);
    assert.equal((await caught(sandboxes().createSandbox(request("old")))).reason, "SANDBOX_EXISTS");
  }
  n2.commands.getSandbox = refuse(new PaddockError("SANDBOX_NOT_FOUND", "not here"));
  assert.equal((await sandboxes().createSandbox(request("old"))).sandbox?.nodeId, "n1");
  assert.deepEqual(seen(n2), ["GetSandbox", "GetSandbox", "GetSandbox"]);
});
