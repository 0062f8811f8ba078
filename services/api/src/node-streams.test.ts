import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import {
  AttachResponseSchema,
  ContainerService,
  GENERATION_KEY,
  ProcessService,
  ReadLogsResponseSchema,
  SandboxService,
  WaitProcessResponseSchema,
  WatchContainerStatsResponseSchema,
  WatchSandboxStatsResponseSchema,
} from "@paddock/protocol";
import type { CallContext } from "@paddock/rpc";
import { startNats } from "../../../test/harness/nats.ts";
import { ApiBench, eventually, placeSandbox } from "./testing/api-bench.ts";
import { drained, exited, start } from "./testing/exec-messages.ts";
import type { FakeNode } from "./testing/fake-node.ts";

let bench: ApiBench;
let node: FakeNode;
before(async () => {
  bench = await ApiBench.start(startNats);
  node = await bench.node("n1");
  await placeSandbox(bench.connection, node);
});
after(() => bench[Symbol.asyncDispose]());

const processes = () => bench.connection.service(ProcessService);

test("every stream has the generation of the sandbox's placement", async () => {
  const seen: Record<string, (string | undefined)[]> = {};
  const note = ({ method, metadata }: CallContext) => {
    seen[method.localName] = [...(seen[method.localName] ?? []), metadata(GENERATION_KEY)];
  };
  node.streams.exec = async function* (_requests, ctx) {
    note(ctx);
    yield exited();
  };
  node.streams.attach = async function* (_requests, ctx) {
    note(ctx);
    yield create(AttachResponseSchema, { output: exited().output });
  };
  node.streams.waitProcess = async (_request, ctx) => {
    note(ctx);
    return create(WaitProcessResponseSchema);
  };
  node.streams.readLogs = async function* (_request, ctx) {
    note(ctx);
    yield create(ReadLogsResponseSchema);
  };
  node.streams.watchContainerStats = async function* (_request, ctx) {
    note(ctx);
    yield create(WatchContainerStatsResponseSchema);
  };
  node.streams.watchSandboxStats = async function* (_request, ctx) {
    note(ctx);
    yield create(WatchSandboxStatsResponseSchema);
  };
  const target = { sandboxId: "s", containerId: "c" };
  const exec = processes().exec();
  await exec.write(start());
  await drained(exec);
  const attach = processes().attach();
  await attach.write({ message: { case: "start", value: { ...target, execId: "c" } } });
  await drained(attach);
  await processes().waitProcess({ ...target, execId: "c" });
  await drained(processes().readLogs(target));
  await drained(bench.connection.service(ContainerService).watchContainerStats(target));
  await drained(bench.connection.service(SandboxService).watchSandboxStats({ sandboxId: "s" }));
  const generation = node.seen.find(({ method }) => method.endsWith("/CreateSandbox"))?.generation;
  assert.ok(generation);
  const once = [String(generation)];
  assert.deepEqual(seen, {
    exec: once,
    attach: once,
    waitProcess: once,
    readLogs: once,
    watchContainerStats: once,
    watchSandboxStats: once,
  });
});

test("the api does not connect to a malformed address in a heartbeat, or without certificates to one of another host", async () => {
  const direct = node.streamAddress;
  const port = direct.split(":")[1];
  const wrong = {
    "unix:/run/docker.sock": /not a host and port/,
    [`ipv4:${direct}`]: /not a host and port/,
    "127.0.0.1:0": /not a host and port/,
    [`0.0.0.0:${port}`]: /PADDOCK_NODE_STREAM_ADVERTISE_ADDRESS/,
    [`[::]:${port}`]: /PADDOCK_NODE_STREAM_ADVERTISE_ADDRESS/,
    "169.254.169.254:80": /on another host, which needs certificates/,
    "node.example:7071": /on another host, which needs certificates/,
  };
  for (const [address, why] of Object.entries(wrong)) {
    await node.advertise(address);
    await eventually(async () => {
      await assert.rejects(drained(processes().readLogs({ sandboxId: "s", containerId: "c" })), (error) => {
        assert.ok(error instanceof PaddockError && error.reason === "NODE_UNAVAILABLE", String(error));
        assert.match(error.message, why);
        return true;
      });
    });
  }
  await node.advertise(direct);
});

test("another server at a node's address receives nothing, and the client gets the cause", async () => {
  const direct = node.streamAddress;
  await using other = await bench.node("n2");
  let asked = 0;
  other.streams.readLogs = async function* () {
    asked += 1;
    yield create(ReadLogsResponseSchema);
  };
  await node.advertise(other.streamAddress);
  await eventually(async () => {
    await assert.rejects(drained(processes().readLogs({ sandboxId: "s", containerId: "c" })), (error) => {
      assert.ok(error instanceof PaddockError && error.reason === "NODE_UNAVAILABLE", String(error));
      assert.match(error.message, /could not authenticate each other/);
      return true;
    });
  });
  assert.equal(asked, 0);
  assert.ok(bench.logs.some((line) => line.includes("one side failed to authenticate the other")));
  await node.advertise(direct);
});
