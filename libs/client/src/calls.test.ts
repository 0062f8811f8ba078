import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as Level } from "@bufbuild/protobuf/wkt";
import { PaddockError } from "@paddock/domain";
import {
  ContainerService,
  EventService,
  FileService,
  ImageService,
  NodeService,
  ProcessService,
  SandboxService,
  StopSandboxRequestSchema,
  SystemService,
} from "@paddock/protocol";
import { isTransient, isTransportFailure, NoAnswerError } from "./call-failure.ts";
import { listAllSandboxes } from "./list-all.ts";
import { SERVED } from "./testing/served-client.ts";

const busy = () => new PaddockError("NODE_UNAVAILABLE", "not now");

for (const [place, serve] of Object.entries(SERVED)) {
  describe(`a call ${place}`, () => {
    test("gets a request id when the request has none, and keeps the one it has", async () => {
      await using served = await serve();
      const ids: string[] = [];
      served.api.unary(SandboxService.method.stopSandbox, ({ requestId }) => {
        ids.push(requestId);
        return {};
      });
      const request = create(StopSandboxRequestSchema, { sandboxId: "web" });
      await served.client.sandboxes.stopSandbox(request);
      await served.client.sandboxes.stopSandbox(request);
      await served.client.sandboxes.stopSandbox({ sandboxId: "web", requestId: "mine" });
      assert.match(ids[0] ?? "", /^test-[0-9a-f]{24}$/);
      assert.match(ids[1] ?? "", /^test-[0-9a-f]{24}$/);
      assert.notEqual(ids[0], ids[1], "another call is another request");
      assert.deepEqual([ids[2], request.requestId], ["mine", ""]);
    });

    test("is repeated with the same request id while the api is unavailable", async () => {
      await using served = await serve();
      const ids: string[] = [];
      served.api.unary(SandboxService.method.startSandbox, ({ requestId }) => {
        ids.push(requestId);
        if (ids.length < 3) throw busy();
        return { sandbox: { sandboxId: "web" } };
      });
      const { sandbox } = await served.client.sandboxes.startSandbox({ sandboxId: "web" });
      assert.equal(sandbox?.sandboxId, "web");
      assert.deepEqual([ids.length, new Set(ids).size], [3, 1]);
    });

    test("fails after five attempts, and at once when a repeat cannot help", async () => {
      await using served = await serve();
      served.api.unary(SandboxService.method.startSandbox, () => {
        throw busy();
      });
      served.api.unary(SandboxService.method.stopSandbox, () => {
        throw new PaddockError("VM_UNAVAILABLE", "the VM is gone");
      });
      await assert.rejects(served.client.sandboxes.startSandbox({ sandboxId: "web" }), {
        reason: "NODE_UNAVAILABLE",
      });
      await assert.rejects(served.client.sandboxes.stopSandbox({ sandboxId: "web" }), {
        reason: "VM_UNAVAILABLE",
      });
      const count = (name: string) => served.api.calls.filter((call) => call === name).length;
      assert.deepEqual([count("StartSandbox"), count("StopSandbox")], [5, 1]);
    });

    test("is repeated when its connection is cut", async () => {
      await using served = await serve();
      let calls = 0;
      served.api.unary(SandboxService.method.getSandbox, async ({ sandboxId }) => {
        calls += 1;
        if (calls > 1) return { sandbox: { sandboxId } };
        served.api.cut();
        return new Promise(() => {});
      });
      const { sandbox } = await served.client.sandboxes.getSandbox({ sandboxId: "web" });
      assert.deepEqual([sandbox?.sandboxId, calls], ["web", 2]);
    });

    test("carries the token", async () => {
      await using served = await serve({ token: "secret" });
      served.api.unary(SystemService.method.getVersion, () => ({}));
      await served.client.system.getVersion({});
      assert.deepEqual(served.api.authorizations, ["Bearer secret"]);
    });

    test("fails with the error of the service, which is not a failure of the transport", async () => {
      await using served = await serve();
      served.api.unary(SandboxService.method.deleteSandbox, () => {
        throw new PaddockError("WRONG_STATE", "it runs", {
          hint: "stop it",
          metadata: { actual_state: "running" },
        });
      });
      await assert.rejects(served.client.sandboxes.deleteSandbox({ sandboxId: "web" }), (error) => {
        assert.ok(error instanceof PaddockError);
        assert.deepEqual(
          [error.reason, error.message, error.hint, error.metadata],
          ["WRONG_STATE", "it runs", "stop it", { actual_state: "running" }],
        );
        assert.deepEqual([isTransient(error), isTransportFailure(error)], [false, false]);
        return true;
      });
    });

    test("fails with the reason of its signal if that is a PaddockError", async () => {
      await using served = await serve();
      served.api.unary(SystemService.method.getVersion, () => new Promise(() => {}));
      const left = new AbortController();
      const call = served.client.system.getVersion({}, { signal: left.signal });
      left.abort(new NoAnswerError("api:7070", 10_000));
      await assert.rejects(call, { message: "no answer from the api at api:7070 for 10.0 s" });
    });

    test("of a list gets all pages, and each node that did not answer once", async () => {
      await using served = await serve();
      served.api.unary(SandboxService.method.listSandboxes, ({ pageToken, nodeId }) => ({
        sandboxes: [{ sandboxId: `s${pageToken}`, nodeId }],
        unreachableNodes: ["n9"],
        nextPageToken: pageToken === "" ? "2" : "",
      }));
      const list = await listAllSandboxes(served.client, { nodeId: "n1" });
      assert.deepEqual(
        list.sandboxes.map(({ sandboxId, nodeId }) => [sandboxId, nodeId]),
        [
          ["s", "n1"],
          ["s2", "n1"],
        ],
      );
      assert.deepEqual(list.unreachableNodes, ["n9"]);
    });
  });
}

test("every unary method reads, is idempotent, waits, or carries a request id", () => {
  const services = [
    SandboxService,
    ContainerService,
    ProcessService,
    EventService,
    FileService,
    ImageService,
    NodeService,
    SystemService,
  ];
  const unsafe = services
    .flatMap((service) => service.methods)
    .filter(({ methodKind }) => methodKind === "unary")
    .filter(
      ({ idempotency, input, name }) =>
        idempotency === Level.IDEMPOTENCY_UNKNOWN && !input.field.requestId && name !== "WaitProcess",
    );
  assert.deepEqual(
    unsafe.map(({ name }) => name),
    [],
  );
});
