import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeApi, FakeProcess } from "@paddock/client/testing";
import { fakeSandbox, serveSandboxes } from "../testing/fake-sandbox.ts";
import { cli } from "../testing/run-in-process.ts";

async function fixture() {
  const api = await FakeApi.start();
  serveSandboxes(api, [fakeSandbox("web")]);
  return {
    api,
    process: new FakeProcess().serve(api),
    [Symbol.asyncDispose]: () => api[Symbol.asyncDispose](),
  };
}

test("exec -d starts a process that keeps running, prints its id and none of its output", async () => {
  await using f = await fixture();
  f.process.write("stdout", "noise\n");
  const { code, out } = await cli(f.api, ["exec", "-d", "web", "--", "serve", "--port", "80"]);
  assert.equal(code, 0);
  assert.match(out, /^[0-9a-f]{12}\n$/);
  const start = f.process.lastStart?.message;
  assert.ok(start?.case === "start" && "process" in start.value);
  assert.equal(start.value.execId, out.trim());
  assert.deepEqual(start.value.process?.args, ["serve", "--port", "80"]);
  assert.equal(start.value.process?.output?.dropOldest, true);
  assert.deepEqual([f.process.exit, f.process.signals, f.process.executions], [undefined, [], 1]);
});

test("exec -d -o json prints the ids of the process", async () => {
  await using f = await fixture();
  const { sandboxId, containerId, execId } = JSON.parse(
    (await cli(f.api, ["exec", "-d", "-o", "json", "web", "true"])).out,
  );
  assert.deepEqual([sandboxId, containerId], ["web", "main"]);
  assert.match(execId, /^[0-9a-f]{12}$/);
});

test("exec -d of a command that is not in the image is an error with the command's code", async () => {
  await using f = await fixture();
  f.process.end(127, "nosuch: not found");
  const { code, out, err } = await cli(f.api, ["exec", "-d", "web", "nosuch"]);
  assert.deepEqual([code, out], [127, ""]);
  assert.equal(err, "error: cannot execute nosuch: not found\n");
});

test("exec -d refuses stdin and a terminal before any call", async () => {
  await using f = await fixture();
  for (const flag of ["-i", "-t"]) {
    const { code, err } = await cli(f.api, ["exec", "-d", flag, "web", "true"]);
    assert.deepEqual([code, f.api.calls], [2, []]);
    assert.match(err, /--detach has no terminal and no stdin to give/);
  }
});
