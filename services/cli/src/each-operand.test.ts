import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeApi } from "@paddock/client/testing";
import { PaddockError } from "@paddock/domain";
import { ProcessService, SandboxService } from "@paddock/protocol";
import { fakeSandbox, serveSandboxes } from "./testing/fake-sandbox.ts";
import { cli, startCli } from "./testing/run-in-process.ts";

async function fixture(onDelete: (sandboxId: string) => Promise<void> | void = () => {}) {
  const api = await FakeApi.start();
  serveSandboxes(
    api,
    ["a", "b", "c"].map((id) => fakeSandbox(id)),
  );
  const deleted: string[] = [];
  api.unary(SandboxService.method.deleteSandbox, async ({ sandboxId }) => {
    await onDelete(sandboxId);
    deleted.push(sandboxId);
    return {};
  });
  return { api, deleted, [Symbol.asyncDispose]: () => api[Symbol.asyncDispose]() };
}

test("a failure is reported and does not stop the others", async () => {
  await using f = await fixture((id) => {
    if (id === "b") throw new PaddockError("WRONG_STATE", "it runs", { hint: "use --force" });
  });
  const { code, out, err } = await cli(f.api, ["rm", "a", "b", "gone", "c"]);
  assert.deepEqual([code, out, f.deleted], [1, "a\nc\n", ["a", "c"]]);
  assert.match(err, /error: cannot delete sandbox b: it runs\nhint: use --force\n/);
  assert.match(err, /error: there is no sandbox "gone"\n/);
});

test("JSON output is one array of outcomes, failures included", async () => {
  await using f = await fixture();
  const { code, out } = await cli(f.api, ["-o", "json", "rm", "a", "gone"]);
  assert.equal(code, 1);
  assert.deepEqual(JSON.parse(out), [
    { target: "a", sandboxId: "a" },
    { target: "gone", error: 'there is no sandbox "gone"' },
  ]);
});

test("after a signal the current operand finishes, and those not started are reported", async () => {
  const [begun, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  await using f = await fixture((id) => {
    if (id !== "a") return;
    begun.resolve();
    return goOn.promise;
  });
  const run = startCli(f.api, ["rm", "a", "b", "c"]);
  await begun.promise;
  run.signals.emit("SIGINT");
  await run.shows("stopping after the current one");
  goOn.resolve();
  assert.equal(await run.exit, 130);
  assert.deepEqual([run.out(), f.deleted], ["a\n", ["a"]]);
  assert.match(run.err(), /error: interrupted: not done for b, c\n/);
});

test("a signal ends a wait at once", async () => {
  await using f = await fixture();
  const asked = Promise.withResolvers<void>();
  f.api.unary(ProcessService.method.waitProcess, () => {
    asked.resolve();
    return new Promise(() => {});
  });
  const run = startCli(f.api, ["wait", "a", "b"]);
  await asked.promise;
  run.signals.emit("SIGTERM");
  assert.equal(await run.exit, 143);
});

test("--all means every sandbox, excludes names, and is needed when there are none", async () => {
  await using f = await fixture();
  assert.deepEqual([(await cli(f.api, ["rm", "-a", "-f"])).out, f.deleted], ["a\nb\nc\n", ["a", "b", "c"]]);
  assert.equal((await cli(f.api, ["rm", "--all", "a"])).code, 2);
  assert.equal((await cli(f.api, ["rm"])).code, 2);
  assert.equal(f.deleted.length, 3);
});
