import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Bus, EventStream } from "@paddock/bus";
import { PaddockError } from "@paddock/domain";
import {
  CreateSandboxResponseSchema,
  GetSandboxResponseSchema,
  ListSandboxesResponseSchema,
  NodeService,
  SandboxService,
  SandboxState,
} from "@paddock/protocol";
import { startNats } from "../../../test/harness/nats.ts";
import { ApiBench, caught, eventually } from "./testing/api-bench.ts";
import type { FakeNode } from "./testing/fake-node.ts";

const directory = mkdtempSync(join(tmpdir(), "sight-"));
after(() => rmSync(directory, { recursive: true }));

const readyz = async ({ app }: ApiBench) => {
  const response = await fetch(`http://${app.httpAddress}/readyz`);
  return `${response.status} ${await response.text()}`;
};

async function restarted(own: string, port: number) {
  const nats = await startNats(own, port);
  return { url: nats.url, [Symbol.asyncDispose]: () => nats.kill() };
}

/** A node with one sandbox. `listed` is called when the node is asked for its sandboxes; the answer waits for its result. */
function hasOne(node: FakeNode, sandboxId: string, generation: bigint, listed = async () => {}) {
  node.sandboxes = 1;
  node.commands.listSandboxes = async () => {
    await listed();
    return create(ListSandboxesResponseSchema, {
      sandboxes: [{ sandboxId, generation, status: { state: SandboxState.RUNNING } }],
    });
  };
  node.commands.getSandbox = async (body, command) =>
    create(GetSandboxResponseSchema, {
      sandbox: { sandboxId: body.sandboxId, nodeId: node.nodeId, generation: command.generation },
    });
}

test("an api that starts without JetStream is not ready and reports why; a list waits or fails but is never empty", async () => {
  let port = 0;
  const own = join(directory, "none");
  await using bench = await ApiBench.start(async () => {
    const nats = await startNats(own, -1, { jetstream: false });
    port = Number(new URL(nats.url).port);
    return nats;
  });
  await eventually(async () =>
    assert.match(await readyz(bench), /^503 not ready: the registry has not been read/),
  );
  const nodes = bench.connection.service(NodeService);
  const sandboxes = bench.connection.service(SandboxService);
  const soon = () => ({ deadline: new Date(Date.now() + 1_000) });
  for (const call of [
    () => nodes.listNodes({}, soon()),
    () => sandboxes.listSandboxes({}, soon()),
    () => sandboxes.createSandbox({ requestId: "r", sandboxId: "s", spec: {} }, soon()),
  ]) {
    const error = await caught(call());
    assert.equal(error.reason, "BUS_UNAVAILABLE");
    assert.match(error.message, /has not seen the registry: the registry has not been read yet/);
  }
  const waiting = nodes.listNodes({}, { deadline: new Date(Date.now() + 30_000) });
  await bench.nats.kill();
  await using again = await restarted(own, port);
  assert.deepEqual((await waiting).nodes, []);
  await eventually(async () => assert.match(await readyz(bench), /^200/));
  assert.ok(again.url);
});

test("an api is not ready before all nodes were asked for their sandboxes, and does not assign their ids", async () => {
  const own = join(directory, "asked");
  const nats = await startNats(own);
  await using first = await ApiBench.start(async () => nats);
  const n1 = await first.node("n1");
  const asked = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  hasOne(n1, "theirs", 7n, () => {
    asked.resolve();
    return gate.promise;
  });
  n1.commands.createSandbox = async () => {
    throw new PaddockError("SANDBOX_EXISTS", "it is here");
  };
  n1.instanceId = "boot-2";
  await n1.beat();
  await using second = await ApiBench.start(async () => ({ ...nats, stop: async () => {} }));
  await asked.promise;
  await eventually(async () => assert.match(await readyz(second), /^503 not ready: n1 has not been asked/));
  const other = second.connection
    .service(SandboxService)
    .createSandbox({ requestId: "mine", sandboxId: "theirs", spec: {} });
  gate.resolve();
  assert.equal((await caught(other)).reason, "SANDBOX_EXISTS");
  await eventually(async () => assert.match(await readyz(second), /^200/));
  const { sandbox } = await eventually(() =>
    second.connection.service(SandboxService).getSandbox({ sandboxId: "theirs" }),
  );
  assert.equal(sandbox?.generation, 7n);
});

test("an api that survives the loss of the store keeps its nodes and placements, and waits for the nodes that were up", async () => {
  const own = join(directory, "lost");
  let port = 0;
  await using bench = await ApiBench.start(async () => {
    const nats = await startNats(own);
    port = Number(new URL(nats.url).port);
    return nats;
  });
  const n1 = await bench.node("n1");
  hasOne(n1, "kept", 42n);
  n1.instanceId = "boot-2";
  await n1.beat();
  const sandboxes = bench.connection.service(SandboxService);
  await eventually(() => sandboxes.getSandbox({ sandboxId: "kept" }));
  await eventually(async () => assert.match(await readyz(bench), /^200/));
  await bench.nats.kill();
  rmSync(join(own, "nats"), { recursive: true });
  await using again = await restarted(own, port);
  await eventually(async () =>
    assert.match(
      await readyz(bench),
      /^503 not ready: the registry was lost, and n1 has not sent a heartbeat since/,
    ),
  );
  const { sandbox } = await eventually(() => sandboxes.getSandbox({ sandboxId: "kept" }));
  assert.equal(sandbox?.generation, 42n, "a known sandbox is found in the meantime");
  await eventually(() => n1.beat());
  await eventually(async () => assert.match(await readyz(bench), /^200/));
  const { nodes } = await bench.connection.service(NodeService).listNodes({});
  assert.deepEqual(
    nodes.map(({ nodeId }) => nodeId),
    ["n1"],
  );
  const taken = await caught(sandboxes.createSandbox({ requestId: "other", sandboxId: "kept", spec: {} }));
  assert.notEqual(taken.reason, "INTERNAL");
  await using bus = new Bus({ url: again.url, name: "look" });
  await bus.ready;
  const events = new EventStream(bus);
  assert.equal((await events.extent()).lastSequence, 0);
});

test("a placement with an earlier generation than its node's is raised to that generation", async () => {
  await using bench = await ApiBench.start(startNats);
  const n1 = await bench.node("n1");
  hasOne(n1, "raised", 5n);
  n1.instanceId = "boot-2";
  await n1.beat();
  const sandboxes = bench.connection.service(SandboxService);
  const generation = async () => (await sandboxes.getSandbox({ sandboxId: "raised" })).sandbox?.generation;
  await eventually(async () => assert.equal(await generation(), 5n));
  hasOne(n1, "raised", 9n);
  n1.instanceId = "boot-3";
  await n1.beat();
  await eventually(async () => assert.equal(await generation(), 9n));
});

test("a generation is above every generation seen before, even if the clock of another api was ahead", async () => {
  await using bench = await ApiBench.start(startNats);
  const n1 = await bench.node("n1");
  const ahead = BigInt(Date.now() + 86_400_000);
  hasOne(n1, "from-tomorrow", ahead);
  n1.instanceId = "boot-2";
  await n1.beat();
  const sandboxes = bench.connection.service(SandboxService);
  await eventually(() => sandboxes.getSandbox({ sandboxId: "from-tomorrow" }));
  let generation = 0n;
  n1.commands.createSandbox = async (_body, command) => {
    generation = command.generation;
    return create(CreateSandboxResponseSchema, {});
  };
  await sandboxes.createSandbox({ requestId: "r", sandboxId: "new", spec: {} });
  assert.ok(generation > ahead);
});
