import assert from "node:assert/strict";
import { test } from "node:test";
import { OutputStream, ProcessService, type ReadLogsRequest } from "@paddock/protocol";
import { FakeApi } from "../testing/fake-api.ts";
import { fakeSandbox, serveSandboxes } from "../testing/fake-sandbox.ts";
import { cli, startCli } from "../testing/run-in-process.ts";

const time = (seconds: number) => ({ seconds: BigInt(seconds), nanos: 0 });
const record = (seconds: number, offset: number, text: string, stream = OutputStream.STDOUT) => ({
  time: time(seconds),
  stream,
  offset: BigInt(offset),
  data: Buffer.from(text),
});

test("logs keep stdout and stderr apart", async () => {
  await using api = await FakeApi.start();
  serveSandboxes(api, [fakeSandbox("web")]);
  api.serverStream(ProcessService.method.readLogs, async function* () {
    yield record(1, 0, "a\n");
    yield record(2, 0, "b\n", OutputStream.STDERR);
  });
  const { code, out, err } = await cli(api, ["logs", "web"]);
  assert.deepEqual({ code, out, err }, { code: 0, out: "a\n", err: "b\n" });
});

test("logs -t begins each line with its time, whatever the pieces are", async () => {
  await using api = await FakeApi.start();
  serveSandboxes(api, [fakeSandbox("web")]);
  api.serverStream(ProcessService.method.readLogs, async function* () {
    yield record(0, 0, "one\ntw");
    yield record(1, 6, "o\nthree\n");
  });
  const { out } = await cli(api, ["logs", "-t", "web"]);
  assert.equal(
    out,
    "1970-01-01T00:00:00.000Z one\n1970-01-01T00:00:00.000Z two\n1970-01-01T00:00:01.000Z three\n",
  );
});

test("logs ask for what the options say", async () => {
  await using api = await FakeApi.start();
  serveSandboxes(api, [fakeSandbox("web")]);
  const asked: ReadLogsRequest[] = [];
  api.serverStream(ProcessService.method.readLogs, async function* (request) {
    asked.push(request);
    yield record(1, 0, "");
  });
  await cli(api, ["logs", "--tail", "5", "--since", "2026-01-31T12:00:00Z", "--stream", "stderr", "web"]);
  assert.equal(asked[0]?.tailLines, 5);
  assert.equal(asked[0]?.since?.seconds, BigInt(Date.UTC(2026, 0, 31, 12) / 1000));
  assert.deepEqual(asked[0]?.streams, [OutputStream.STDERR]);
  assert.equal(asked[0]?.follow, false);
});

test("a followed log that breaks goes on where it was, without loss or doubling", async () => {
  await using api = await FakeApi.start();
  serveSandboxes(api, [fakeSandbox("web")]);
  const asked: ReadLogsRequest[] = [];
  const delivered = Promise.withResolvers<void>();
  api.serverStream(ProcessService.method.readLogs, async function* (request) {
    asked.push(request);
    if (asked.length === 1) {
      yield record(1, 0, "old\n");
      yield record(2, 4, "half");
      yield record(3, 0, "err 1\n", OutputStream.STDERR);
      await delivered.promise;
    }
    yield record(2, 4, "half a line\n");
    yield record(3, 0, "err 1\n", OutputStream.STDERR);
    yield record(4, 16, "new\n");
  });
  const run = startCli(api, ["logs", "-q", "-f", "--tail", "2", "web"]);
  await run.shows("err 1");
  api.cut();
  const code = await run.exit;
  delivered.resolve();
  assert.deepEqual(
    { code, out: run.out(), err: run.err() },
    { code: 0, out: "old\nhalf a line\nnew\n", err: "err 1\n" },
  );
  assert.equal(asked[1]?.since?.seconds, 2n);
  assert.equal(asked[1]?.tailLines, undefined);
});
