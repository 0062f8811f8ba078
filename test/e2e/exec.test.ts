import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, test } from "node:test";
import { exec, OutputGatherer } from "../harness/exec.ts";
import { runIdle } from "../harness/sandbox.ts";
import { Stack } from "../harness/stack.ts";

let stack: Stack;
const at = { sandboxId: "exec", containerId: "c1" };

before(async () => {
  stack = await Stack.start();
  await runIdle(stack, at.sandboxId);
});
after(() => stack?.[Symbol.asyncDispose]());

test("a command's stdout, stderr and exit code are returned separately", async () => {
  const done = await exec(stack.client, ["sh", "-c", "echo out; echo err >&2; exit 7"], at);
  assert.equal(done.stdout, "out\n");
  assert.equal(done.stderr, "err\n");
  assert.equal(done.status.code, 7);
  assert.equal(done.status.signal, 0);
});

test("stdin and its end reach the command", async () => {
  const done = await exec(stack.client, ["wc", "-c"], { ...at, stdin: "x".repeat(300_000) });
  assert.equal(done.stdout.trim(), "300000");
  assert.equal(done.status.code, 0);
});

test("a command without stdin reads end-of-file at once", async () => {
  const done = await exec(stack.client, ["cat"], at);
  assert.equal(done.stdout, "");
  assert.equal(done.status.code, 0);
});

test("a command that is not in the image exits 127 and one that cannot be executed 126, with a reason", async () => {
  const missing = await exec(stack.client, ["no-such-command"], at);
  assert.equal(missing.status.code, 127);
  assert.match(missing.status.reason, /no-such-command/);
  const forbidden = await exec(stack.client, ["/etc/passwd"], at);
  assert.equal(forbidden.status.code, 126);
});

test("a signal ends a command with 128 and its number", async () => {
  const done = await exec(stack.client, ["sh", "-c", "kill -USR1 $$"], at);
  assert.equal(done.status.code, 138);
  assert.equal(done.status.signal, 10);
});

test("environment, working directory and user are those of the request", async () => {
  const process = { env: ["GREETING=hello world"], cwd: "/tmp", user: "app" };
  const done = await exec(stack.client, ["sh", "-c", 'echo "$GREETING $PWD $(id -un)"'], { ...at, process });
  assert.equal(done.stdout, "hello world /tmp app\n");
});

test("100 MB of output arrive byte for byte through client, api, node and guest", async () => {
  // 12,500 lines of 8 bytes, a thousand times. The guest repeats a file: under emulation that costs a sixth of a pipe between two
  // programs, and the same for everything that transfers it.
  const part = Buffer.from(Array.from({ length: 12_500 }, (_, index) => `${1_000_001 + index}\n`).join(""));
  const script =
    "seq 1000001 1012500 >/part; cat $(yes /part | head -n 10) >/million; cat $(yes /million | head -n 100)";
  const done = await exec(stack.client, ["sh", "-c", script], {
    ...at,
    deadline: new Date(Date.now() + 240_000),
  });
  const expected = createHash("sha256");
  for (let left = 1000; left > 0; left--) expected.update(part);
  assert.equal(done.stdoutBytes, 100_000_000);
  assert.equal(done.stdoutDigest, expected.digest("hex"));
});

test("a client that disconnects in mid-stream attaches at its offset and loses nothing", async () => {
  const lines = 400_000;
  const gatherer = new OutputGatherer();
  const execId = "dropped";
  const call = stack.client.processes.exec();
  await call.write({
    message: { case: "start", value: { ...at, execId, process: { args: ["seq", String(lines)] } } },
  });
  await assert.rejects(async () => {
    for await (const { output } of call) {
      if (output) gatherer.take(output);
      if (gatherer.stdoutOffset > 700_000n) call.cancel();
    }
  });
  const reached = gatherer.stdoutOffset;
  const attach = stack.client.processes.attach({ deadline: new Date(Date.now() + 120_000) });
  await attach.write({
    message: {
      case: "start",
      value: { ...at, execId, stdoutOffset: reached, stderrOffset: gatherer.stderrOffset },
    },
  });
  for await (const { output } of attach) if (output) gatherer.take(output);
  const done = gatherer.finish();
  const expected = Array.from({ length: lines }, (_, index) => `${index + 1}\n`).join("");
  assert.ok(reached < BigInt(expected.length), "the stream was cut before its end");
  assert.equal(done.stdoutBytes, expected.length);
  assert.equal(done.stdoutDigest, createHash("sha256").update(expected).digest("hex"));
});

test("an orphan that keeps stdout open does not delay the exit", async () => {
  const begun = process.hrtime.bigint();
  const done = await exec(stack.client, ["sh", "-c", "echo first; sleep 600 & exit 3"], at);
  assert.equal(done.status.code, 3);
  assert.equal(done.stdout, "first\n");
  assert.ok(process.hrtime.bigint() - begun < 60_000_000_000n);
});

test("any number of callers can wait for one process and get the same exit status, even after its exit", async () => {
  const call = stack.client.processes.exec();
  await call.write({
    message: { case: "start", value: { ...at, execId: "waited", process: { args: ["cat"], stdin: true } } },
  });
  const responses = call[Symbol.asyncIterator]();
  assert.equal((await responses.next()).value?.output?.output.case, "started");
  const request = { ...at, execId: "waited" };
  const waits = Array.from({ length: 5 }, () => stack.client.processes.waitProcess(request));
  await call.write({ message: { case: "input", value: { input: { case: "signal", value: "TERM" } } } });
  for (let next = await responses.next(); !next.done; next = await responses.next());
  for (const { status } of await Promise.all(waits)) assert.equal(status?.signal, 15);
  assert.equal((await stack.client.processes.waitProcess(request)).status?.code, 143);
});

test("a taken exec id is refused and runs nothing twice", async () => {
  await exec(stack.client, ["sh", "-c", "echo once >> /tmp/once"], { ...at, execId: "same" });
  await assert.rejects(
    exec(stack.client, ["sh", "-c", "echo once >> /tmp/once"], { ...at, execId: "same" }),
    {
      reason: "PROCESS_EXISTS",
    },
  );
  assert.equal((await exec(stack.client, ["cat", "/tmp/once"], at)).stdout, "once\n");
});
