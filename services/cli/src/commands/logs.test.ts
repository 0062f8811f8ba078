import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeApi } from "@paddock/client/testing";
import { OutputStream, ProcessService, type ReadLogsRequest } from "@paddock/protocol";
import { fakeSandbox, serveSandboxes } from "../testing/fake-sandbox.ts";
import { cli } from "../testing/run-in-process.ts";

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

test("logs -t begins each line with its time, however the output is split", async () => {
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

test("the options of logs reach the api", async () => {
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
