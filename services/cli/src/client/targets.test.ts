import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeApi, FakeProcess } from "@paddock/client/testing";
import { ContainerService, ProcessService, SandboxService } from "@paddock/protocol";
import { fakeSandbox, serveSandboxes } from "../testing/fake-sandbox.ts";
import { cli } from "../testing/run-in-process.ts";
import { newId } from "./generated-id.ts";

/** Ids with a given beginning, in the form of generated ids. */
const generated = (beginning: string): string => newId(() => Buffer.from(beginning.padEnd(8, "0"), "hex"));
const [FIRST, SECOND] = [generated("3f9a01"), generated("3f9b02")];

/** An api that records the targets of all calls that change something. */
async function fixture(sandboxes: Parameters<typeof serveSandboxes>[1]) {
  const api = await FakeApi.start();
  const changed: string[] = [];
  serveSandboxes(api, sandboxes);
  FakeProcess.init("main").end(0).serve(api);
  const sandbox = SandboxService.method;
  const noteSandbox = ({ sandboxId }: { sandboxId: string }) => {
    changed.push(sandboxId);
    return {};
  };
  api.unary(sandbox.deleteSandbox, noteSandbox).unary(sandbox.stopSandbox, noteSandbox);
  api.unary(sandbox.startSandbox, noteSandbox).unary(sandbox.pauseSandbox, noteSandbox);
  api.unary(sandbox.resumeSandbox, noteSandbox);
  const container = ContainerService.method;
  const noteContainer = ({ sandboxId, containerId }: { sandboxId: string; containerId: string }) => {
    changed.push(`${sandboxId}/${containerId}`);
    return {};
  };
  api.unary(container.deleteContainer, noteContainer).unary(container.stopContainer, noteContainer);
  api.unary(container.startContainer, noteContainer).unary(container.pauseContainer, noteContainer);
  api.unary(container.resumeContainer, noteContainer).unary(container.killContainer, noteContainer);
  api.unary(container.updateContainer, noteContainer);
  api.unary(ContainerService.method.listProcesses, () => ({}));
  api.unary(ProcessService.method.waitProcess, () => ({ status: { code: 0 } }));
  api.serverStream(ProcessService.method.readLogs, async function* () {});
  return { api, changed, [Symbol.asyncDispose]: () => api[Symbol.asyncDispose]() };
}

const OF_A_SANDBOX = [
  ["rm", "-f"],
  ["stop"],
  ["start"],
  ["restart"],
  ["pause"],
  ["resume"],
  ["kill"],
  ["update", "--cpus", "1"],
  ["wait"],
  ["exec"],
  ["attach"],
  ["logs"],
  ["inspect"],
  ["top"],
  ["stats", "--no-stream"],
  ["port"],
  ["network", "ls"],
  ["network", "inspect"],
  ["network", "log"],
  ["network", "update", "--egress", "none"],
  ["network", "connect"],
  ["network", "route", "ls"],
];
const line = (words: readonly string[], target: string) =>
  words[0] === "exec" ? ["exec", target, "true"] : [...words, target];

for (const words of OF_A_SANDBOX) {
  test(`"${words.join(" ")}" does not accept a prefix of a chosen name`, async () => {
    await using f = await fixture([fakeSandbox("job-10", ["main-2"]), fakeSandbox("deadbeef0001")]);
    for (const target of ["job-1", "job", "deadbeef", "job-10/main", "job-1/main-2"]) {
      if (words[0] === "stats" && target.includes("/")) continue;
      const { code, out, err } = await cli(f.api, line(words, target));
      assert.equal(code, words[0] === "exec" || words[0] === "attach" ? 125 : 1, target);
      assert.match(err, /there is no (sandbox|container)/, target);
      assert.ok(out === "" || out === "[]\n", out);
    }
    assert.deepEqual(f.changed, []);
  });
}

test("a generated id may be shortened to a prefix that no other one has", async () => {
  await using f = await fixture([fakeSandbox(FIRST), fakeSandbox(SECOND), fakeSandbox("3f9")]);
  assert.equal((await cli(f.api, ["rm", "-f", "3f9a"])).code, 0);
  assert.deepEqual(f.changed, [FIRST]);
  const vague = await cli(f.api, ["rm", "-f", "3f9"]);
  assert.deepEqual([vague.code, f.changed], [0, [FIRST, "3f9"]]);
});

test("a prefix of several generated ids is an error that lists them", async () => {
  const [one, other] = [generated("3f9a01"), generated("3f9a02")];
  await using f = await fixture([fakeSandbox(one), fakeSandbox(other)]);
  const { code, err } = await cli(f.api, ["rm", "-f", "3f9a"]);
  assert.equal(code, 1);
  assert.match(err, new RegExp(`begins the id of more than one sandbox\nhint: it could be ${one}, ${other}`));
  assert.deepEqual(f.changed, []);
});

test("a whole name wins over a generated id with that prefix", async () => {
  await using f = await fixture([fakeSandbox(FIRST), fakeSandbox("3f9a")]);
  await cli(f.api, ["rm", "-f", "3f9a"]);
  assert.deepEqual(f.changed, ["3f9a"]);
});

test("a prefix of three characters is not accepted", async () => {
  await using f = await fixture([fakeSandbox(generated("db0000"))]);
  assert.equal((await cli(f.api, ["rm", "-f", "db0"])).code, 1);
  assert.deepEqual(f.changed, []);
});

test("an unknown name is reported with a similar one", async () => {
  await using f = await fixture([fakeSandbox("web"), fakeSandbox("job-10")]);
  assert.match(
    (await cli(f.api, ["inspect", "wbe"])).err,
    /there is no sandbox "wbe"\nhint: did you mean web\?/,
  );
  assert.match((await cli(f.api, ["rm", "job-1"])).err, /hint: did you mean job-10\?/);
});
