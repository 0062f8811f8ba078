import assert from "node:assert/strict";
import { test } from "node:test";
import { PaddockError } from "@paddock/domain";
import { OutputStream, ProcessService } from "@paddock/protocol";
import { FakeApi } from "../testing/fake-api.ts";
import { FakeProcess } from "../testing/fake-process.ts";
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

test("exec says to the api what was run, with the words after -- untouched", async () => {
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

test("a stream that is cut in the middle of output is taken up again without loss or doubling", async () => {
  const output = Buffer.from(Array.from({ length: 20_000 }, (_, i) => `line ${i}\n`).join(""));
  const process = new FakeProcess().write("stdout", output).write("stderr", "one complaint\n").end(3);
  await using api = await apiWith(process);
  const cuts = [30_000, 90_000, 150_000];
  process.onChunk = (offset) => {
    if (cuts[0] !== undefined && offset > cuts[0]) {
      cuts.shift();
      api.cut();
    }
  };
  const { code, out, err } = await cli(api, ["exec", "-q", "web", "--", "seq"]);
  assert.equal(cuts.length, 0, "every cut was made");
  assert.equal(out, output.toString());
  assert.equal(err, "one complaint\n");
  assert.equal(code, 3);
  assert.equal(process.executions, 1, "the command ran once");
});

test("stdin goes on from what was acknowledged when the stream is cut", async () => {
  const process = new FakeProcess();
  await using api = await apiWith(process);
  const sent = Buffer.from(Array.from({ length: 30_000 }, (_, i) => `row ${i}\n`).join(""));
  let cuts = 0;
  process.onInput = ({ input }) => {
    if (input.case === "stdin" && process.stdin.length > 100_000 && cuts === 0) {
      cuts += 1;
      api.cut();
    }
    if (input.case === "stdinEof") process.write("stdout", `${process.stdin.length}\n`).end(0);
  };
  const run = startCli(api, ["exec", "-i", "web", "--", "wc", "-c"]);
  run.stdin.end(sent);
  assert.equal(await run.exit, 0);
  assert.equal(cuts, 1);
  assert.deepEqual(process.stdin, sent);
  assert.equal(run.out(), `${sent.length}\n`);
});

test("an exec whose answer was lost is sent again under the same id and never runs twice", async () => {
  const process = new FakeProcess();
  await using api = await FakeApi.start();
  serveSandboxes(api, [fakeSandbox("web")]);
  let started = 0;
  process.serve(api);
  // The connection goes at the moment the process exists, before anyone could be told.
  Object.defineProperty(process, "executions", {
    get: () => started,
    set: (value: number) => {
      started = value;
      api.cut();
      process.write("stdout", "done\n").end(0);
    },
  });
  const { code, out } = await cli(api, ["exec", "-q", "web", "--", "touch", "/once"]);
  assert.deepEqual({ code, out, started }, { code: 0, out: "done\n", started: 1 });
  assert.ok(api.calls.includes("Attach"));
});

test("an exec whose reader has left closes that output, reads on, and exits with the command's code", async () => {
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

test("an output that was closed is closed again on a new stream", async () => {
  const process = new FakeProcess().write("stdout", "y\n");
  await using api = await apiWith(process);
  const run = startCli(api, ["exec", "-q", "web", "--", "yes"]);
  await run.shows("y\n");
  process.onInput = ({ input }) => {
    if (input.case !== "outputClose") return;
    if (process.closes.length === 1) api.cut();
    else process.end(0);
  };
  run.closeOutput();
  process.write("stdout", "y\n");
  assert.equal(await run.exit, 0);
  assert.deepEqual(process.closes, [OutputStream.STDOUT, OutputStream.STDOUT]);
});

test("a container's own process goes on when the reader of its output leaves", async () => {
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

test("what was printed is acknowledged", async () => {
  const process = new FakeProcess().write("stdout", "12345").write("stderr", "123");
  await using api = await apiWith(process);
  // It ends only when it has heard of all that was printed.
  process.onInput = () => {
    if (process.acked.stdout === 5n && process.acked.stderr === 3n) process.end(9);
  };
  const { code, out, err } = await cli(api, ["exec", "web", "--", "true"]);
  assert.deepEqual({ code, out, err }, { code: 9, out: "12345", err: "123" });
});

test("signals to us are sent to the process, and the second request to end is ours", async () => {
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

test("a failure of ours exits 125, as the command may exit with any other code", async () => {
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

test("attach shows what the process holds and ends with its code", async () => {
  const process = FakeProcess.init("main").write("stdout", "earlier\n").end(5);
  await using api = await apiWith(process);
  const { code, out } = await cli(api, ["attach", "web"]);
  assert.deepEqual({ code, out }, { code: 5, out: "earlier\n" });
});
