import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PaddockError } from "@paddock/domain";
import { ProcessService } from "@paddock/protocol";
import { FakeProcess } from "../testing/fake-process.ts";
import { SERVED } from "../testing/served-client.ts";
import { startProcess } from "./start-process.ts";

const address = { sandboxId: "web", containerId: "main", execId: "e1" };

for (const [place, serve] of Object.entries(SERVED)) {
  describe(`a process that is started and left ${place}`, () => {
    test("keeps running, and drops output that nobody reads", async () => {
      await using served = await serve();
      const process = new FakeProcess().serve(served.api);
      const { client } = served;
      assert.equal(await startProcess({ client, address, process: { args: ["job"] } }), undefined);
      const start = process.lastStart?.message;
      assert.ok(start?.case === "start" && "process" in start.value);
      assert.deepEqual(start.value.process?.args, ["job"]);
      assert.equal(start.value.process?.output?.dropOldest, true);
      assert.deepEqual([process.exit, process.signals, process.closes], [undefined, [], []]);
    });

    test("returns the exit status of a command that could not be executed", async () => {
      await using served = await serve();
      new FakeProcess().serve(served.api).end(127, "job: not found");
      const ended = await startProcess({ client: served.client, address, process: { args: ["job"] } });
      assert.deepEqual([ended?.code, ended?.reason], [127, "job: not found"]);
    });

    test("rejects when the container does not run", async () => {
      await using served = await serve();
      served.api.duplex(ProcessService.method.exec, async () => {
        throw new PaddockError("WRONG_STATE", "it is stopped");
      });
      await assert.rejects(startProcess({ client: served.client, address, process: { args: ["job"] } }), {
        reason: "WRONG_STATE",
      });
    });

    test("rejects with the reason of an aborted signal", async () => {
      await using served = await serve();
      const asked = Promise.withResolvers<void>();
      served.api.duplex(ProcessService.method.exec, async ({ closed }) => {
        asked.resolve();
        await closed;
      });
      const abort = new AbortController();
      const { signal } = abort;
      const started = startProcess({ client: served.client, address, process: { args: ["job"] }, signal });
      await asked.promise;
      abort.abort(new Error("enough"));
      await assert.rejects(started, /enough/);
    });
  });
}
