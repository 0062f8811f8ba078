import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import {
  CreateSandboxResponseSchema,
  GetSandboxResponseSchema,
  ListSandboxesResponseSchema,
  SandboxService,
  SandboxState,
} from "@paddock/protocol";
import { startNats } from "../../../test/harness/nats.ts";
import { ApiBench, caught, eventually } from "./testing/api-bench.ts";
import type { FakeNode } from "./testing/fake-node.ts";

let bench: ApiBench;
let node: FakeNode;
before(async () => {
  bench = await ApiBench.start(startNats);
  node = await bench.node("n1");
});
after(() => bench[Symbol.asyncDispose]());
const sandboxes = () => bench.connection.service(SandboxService);

test("sandboxes that are missing after a loss of the registry are claimed for their node, with their generation", async () => {
  node.commands.listSandboxes = async () =>
    create(ListSandboxesResponseSchema, {
      sandboxes: [
        { sandboxId: "kept", generation: 42n, status: { state: SandboxState.RUNNING } },
        { sandboxId: "leaving", generation: 43n, status: { state: SandboxState.DELETING } },
      ],
    });
  node.commands.getSandbox = async (body, command) =>
    create(GetSandboxResponseSchema, {
      sandbox: { sandboxId: body.sandboxId, generation: command.generation },
    });
  node.instanceId = "boot-2";
  await node.beat();
  const { sandbox } = await eventually(() => sandboxes().getSandbox({ sandboxId: "kept" }));
  assert.equal(sandbox?.generation, 42n);
  assert.equal((await caught(sandboxes().getSandbox({ sandboxId: "leaving" }))).reason, "SANDBOX_NOT_FOUND");
});

test("the node decides whether a create repeats the request of a rebuilt placement", async () => {
  node.commands.createSandbox = async (body) => {
    if (body.requestId === "first")
      return create(CreateSandboxResponseSchema, { sandbox: { sandboxId: "kept" } });
    throw new PaddockError("SANDBOX_EXISTS", "kept exists");
  };
  await sandboxes().createSandbox({ requestId: "first", sandboxId: "kept", spec: {} });
  const other = await caught(sandboxes().createSandbox({ requestId: "other", sandboxId: "kept", spec: {} }));
  assert.equal(other.reason, "SANDBOX_EXISTS");
  await sandboxes().getSandbox({ sandboxId: "kept" });
});

test("a sandbox that its node counts but the registry lacks is claimed even without a restart of the daemon", async () => {
  const listing = (ids: string[]) => async () =>
    create(ListSandboxesResponseSchema, {
      sandboxes: ids.map((sandboxId) => ({
        sandboxId,
        generation: 44n,
        status: { state: SandboxState.RUNNING },
      })),
    });
  node.commands.listSandboxes = listing(["kept", "lost"]);
  node.sandboxes = 2;
  await node.beat();
  const { sandbox } = await eventually(() => sandboxes().getSandbox({ sandboxId: "lost" }));
  assert.equal(sandbox?.generation, 44n);
});
