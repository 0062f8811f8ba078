import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeApi, FakeProcess } from "@paddock/client/testing";
import { PaddockError } from "@paddock/domain";
import { OutputStream, ProcessService } from "@paddock/protocol";
import { fakeSandbox, serveSandboxes } from "../testing/fake-sandbox.ts";
import { cli, startCli } from "../testing/run-in-process.ts";

async function apiWith(process: FakeProcess): Promise<FakeApi> {
  const api = await FakeApi.start();
  serveSandboxes(api, [fakeSandbox("web")]);
  process.serve(api);
  return api;
}

test("exec prints stdout and stderr apart and exits with the command's code", async () => {
  const process = new FakeProcess().write("stdout", "to out\n").write("stderr", "to err\n").end(42);
  await using api = await apiWith(process);
  const { code, out, err } = await cli(api, ["exec", "web", "--", "sh", "-c", "exit 42"]);
  assert.deepEqual({ code, out, err }, { code: 42, out: "to out\n", err: "to err\n" });
});

test("exec passes the words after -- to the api unchanged", async () => {
  const process = new FakeProcess().end(0);
  await using api = await apiWith(process);
  await cli(
    api,
    ["exec", "-e", "A=1", "-e", "HOME", "-w", "/tmp", "-u", "7:8", "web/main", "--", "ls", "-l", "--", "-t"],
    {
      HOME: "/home/me",
    },
  );
  const start = process.lastStart?.message.case === "start" ? process.lastStart.message.value : undefined;
  assert.ok(start && "process" in start);
  assert.deepEqual(start.process?.args, ["ls", "-l", "--", "-t"]);
  assert.deepEqual(start.process?.env, ["A=1", "HOME=/home/me"]);
  assert.deepEqual([start.process?.cwd, start.process?.user, start.process?.stdin], ["/tmp", "7:8", false]);
  assert.equal(start.explicitAck, true);
});

test("exec closes an output that its reader closed, reads the other, and exits with the command's code", async () => {
  const process = new FakeProcess().write("stdout", "y\n".repeat(10));
  await using api = await apiWith(process);
  const run = startCli(api, ["exec", "web", "--", "yes"]);
  await run.shows("y\n");
  process.onInput = ({ input }) => {
    if (input.case === "outputClose") process.write("stderr", "told\n").end(141);
  };
  run.closeOutput();
  process.write("stdout", "y\n".repeat(10));
  assert.equal(await run.exit, 141);
  assert.deepEqual([process.closes, run.err()], [[OutputStream.STDOUT], "told\n"]);
});

test("a container's init process continues when the reader of its output closes it", async () => {
  const process = FakeProcess.init("main").write("stdout", "y\n");
  await using api = await apiWith(process);
  const run = startCli(api, ["attach", "web"]);
  await run.shows("y\n");
  run.closeOutput();
  process.write("stdout", "y\n");
  assert.equal(await run.exit, 141);
  assert.deepEqual(process.closes, []);
});

test("a command that cannot be executed is named", async () => {
  const process = new FakeProcess().end(127, "nosuch\u001b[2J: not found");
  await using api = await apiWith(process);
  const { code, err } = await cli(api, ["exec", "-q", "web", "nosuch"]);
  assert.deepEqual({ code, err }, { code: 127, err: "error: cannot execute nosuch\\x1b[2J: not found\n" });
});

test("signals are forwarded to the process, and the second SIGINT or SIGTERM ends the command line", async () => {
  const process = new FakeProcess().write("stdout", "ready\n");
  await using api = await apiWith(process);
  const run = startCli(api, ["exec", "web", "--", "sleep", "inf"]);
  await run.shows("ready");
  const inputs = Promise.withResolvers<void>();
  process.onInput = () => process.signals.length === 2 && inputs.resolve();
  for (const name of ["SIGHUP", "SIGTERM"]) run.signals.emit(name);
  await inputs.promise;
  assert.deepEqual(process.signals, ["SIGHUP", "SIGTERM"]);
  run.signals.emit("SIGINT");
  assert.equal(await run.exit, 130);
});

test("a failure of the command line itself exits with 125", async () => {
  const process = new FakeProcess();
  await using api = await FakeApi.start();
  serveSandboxes(api, [fakeSandbox("web")]);
  api.duplex(ProcessService.method.exec, async () => {
    throw new PaddockError("WRONG_STATE", 'container "main" is paused', { hint: "resume it first" });
  });
  const { code, err } = await cli(api, ["exec", "web", "--", "true"]);
  assert.equal(code, 125);
  assert.match(
    err,
    /^error: cannot run a command in "web\/main": container "main" is paused\nhint: resume it first\n/,
  );
  assert.equal(process.executions, 0);
});

test("attach shows the output that is held and exits with the code of the process", async () => {
  const process = FakeProcess.init("main").write("stdout", "earlier\n").end(5);
  await using api = await apiWith(process);
  const { code, out } = await cli(api, ["attach", "web"]);
  assert.deepEqual({ code, out }, { code: 5, out: "earlier\n" });
});
