import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { isOutcomeUnknown, PaddockError } from "@paddock/domain";
import { nodepb, StatusSchema } from "@paddock/protocol";
import { type NatsServer, startNats } from "../../../test/harness/nats.ts";
import { Bus } from "./bus.ts";
import { NodeView, putHeartbeat } from "./node-registry.ts";
import { requestCommand } from "./request-command.ts";
import { type CommandHandler, serveCommands } from "./serve-commands.ts";
import { commandSubject, runningSubject } from "./subjects.ts";

const directory = mkdtempSync(join(tmpdir(), "watch-"));
let nats: NatsServer;
let api: Bus;
/** Connections of daemons. A connection that a failed test leaves open would keep the process running. */
const connections: Bus[] = [];

before(async () => {
  nats = await startNats(directory);
  api = new Bus({ url: nats.url, name: "api" });
  await api.ready;
});
after(async () => {
  await Promise.all([api, ...connections].map((each) => each.close()));
  await nats.stop();
  rmSync(directory, { recursive: true });
});

async function connect(name: string): Promise<Bus> {
  const bus = new Bus({ url: nats.url, name });
  connections.push(bus);
  await bus.ready;
  return bus;
}

/** A daemon with its own connection, which `die` cuts as a crash does. */
async function daemon(nodeId: string, instanceId: string, handler: CommandHandler) {
  const bus = await connect(nodeId);
  const server = serveCommands(bus, nodeId, handler, {
    limits: { perKind: 4, perSandbox: 4 },
    kindOf: () => "reads",
    daemonInstanceId: instanceId,
    toStatus: () => create(StatusSchema, { code: 13 }),
  });
  await bus.connection().flush();
  await beat(bus, nodeId, instanceId);
  return { server, die: () => bus.close() };
}

const beat = (bus: Bus, nodeId: string, daemonInstanceId: string) =>
  putHeartbeat(bus, create(nodepb.HeartbeatSchema, { node: { nodeId }, daemonInstanceId }));

const send = (nodeId: string, nodes?: NodeView) => {
  const deadline = new Date(Date.now() + 60_000);
  const command = create(nodepb.CommandRequestSchema, { method: "s/M", requestId: "r" });
  return requestCommand(api, nodeId, command, { deadline, ...(nodes === undefined ? {} : { nodes }) });
};
const never: CommandHandler = () => new Promise(() => {});
const answers: CommandHandler = async () => new Uint8Array();

async function assertLost(call: Promise<unknown>, why: RegExp): Promise<void> {
  const began = performance.now();
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof PaddockError);
    assert.equal(error.reason, "NODE_UNAVAILABLE");
    assert.match(error.message, why);
    assert.match(error.hint ?? "", /same request id/);
    return isOutcomeUnknown(error);
  });
  assert.ok(performance.now() - began < 10_000);
}

async function underWay(server: { readonly inFlight: number }): Promise<void> {
  while (server.inFlight === 0) await api.connection().flush();
}

test("a command whose daemon dies fails within seconds, with an unknown outcome", async () => {
  const dying = await daemon("dying", "boot-1", never);
  const call = send("dying");
  await underWay(dying.server);
  await Promise.all([assertLost(call, /its daemon is gone/), dying.die()]);
});

test("a command of a dead daemon fails as soon as the next daemon sends a heartbeat", async () => {
  await using view = new NodeView(api);
  const first = await daemon("reborn", "boot-1", never);
  while (view.get("reborn") === undefined) await api.connection().flush();
  const call = send("reborn", view);
  await underWay(first.server);
  const lost = assertLost(call, /has restarted/);
  await first.die();
  const second = await daemon("reborn", "boot-2", answers);
  await lost;
  assert.equal((await send("reborn", view)).daemonInstanceId, "boot-2");
  await second.die();
});

test("a caller waits for a long command, even if a heartbeat names its daemon only later", async () => {
  await using view = new NodeView(api);
  const gate = Promise.withResolvers<void>();
  const slow = await daemon("slow", "boot-1", async (request, ctx) => {
    await gate.promise;
    return answers(request, ctx);
  });
  while (view.get("slow") === undefined) await api.connection().flush();
  const call = send("slow", view);
  await underWay(slow.server);
  const asked = Promise.withResolvers<void>();
  let questions = 0;
  const listener = api.connection().subscribe(runningSubject("slow"), {
    callback: () => {
      questions += 1;
      if (questions === 3) asked.resolve();
    },
  });
  await beat(api, "slow", "boot-2");
  await asked.promise;
  listener.unsubscribe();
  gate.resolve();
  assert.equal((await call).outcome.case, "response");
  await slow.die();
});

test("a command to a daemon that is connected and silent fails when its heartbeats have stopped for long enough", async () => {
  let nowMs = 0;
  await using view = new NodeView(api, () => nowMs);
  const frozen = await connect("frozen");
  const received = Promise.withResolvers<void>();
  frozen.connection().subscribe(commandSubject("frozen"), { callback: () => received.resolve() });
  frozen.connection().subscribe(runningSubject("frozen"), { callback: () => {} });
  await frozen.connection().flush();
  await beat(frozen, "frozen", "boot-1");
  while (view.get("frozen") === undefined) await api.connection().flush();
  const call = send("frozen", view);
  await received.promise;
  nowMs = 31_000;
  await assertLost(call, /stopped sending heartbeats/);
  await frozen.close();
});
