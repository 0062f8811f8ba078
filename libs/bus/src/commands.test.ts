import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { create, fromBinary } from "@bufbuild/protobuf";
import { isOutcomeUnknown, PaddockError } from "@paddock/domain";
import { nodepb, StatusSchema } from "@paddock/protocol";
import { type NatsServer, startNats } from "../../../test/harness/nats.ts";
import { Bus } from "./bus.ts";
import { requestCommand } from "./request-command.ts";
import {
  type CommandContext,
  type CommandHandler,
  type CommandServer,
  serveCommands,
} from "./serve-commands.ts";
import { commandSubject } from "./subjects.ts";

const directory = mkdtempSync(join(tmpdir(), "bus-"));
let nats: NatsServer;
let api: Bus;
let node: Bus;

before(async () => {
  nats = await startNats(directory);
  api = new Bus({ url: nats.url, name: "api" });
  node = new Bus({ url: nats.url, name: "node", inboxPrefix: "_INBOX.n.1" });
  await Promise.all([api.ready, node.ready]);
});
after(async () => {
  await Promise.all([api.close(), node.close()]);
  await nats.stop();
  rmSync(directory, { recursive: true });
});

const GET = "paddock.v1.SandboxService/GetSandbox";
const STOP = "paddock.v1.SandboxService/StopSandbox";
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
const command = (sandboxId = "s", method = GET) =>
  create(nodepb.CommandRequestSchema, { method, request: Buffer.from(sandboxId), requestId: "r", sandboxId });
const soon = (ms = 5_000) => ({ deadline: new Date(Date.now() + ms) });

async function serve(nodeId: string, handler: CommandHandler, perKind = 4): Promise<CommandServer> {
  const server = serveCommands(node, nodeId, handler, {
    limits: { perKind, perSandbox: 2 },
    kindOf: ({ method }) => (method === GET ? "reads" : "changes"),
    daemonInstanceId: "boot-1",
    toStatus: (error) => create(StatusSchema, { code: 13, message: words(error) }),
  });
  await node.connection().flush();
  return server;
}
const words = (error: unknown) =>
  error instanceof PaddockError
    ? `${error.reason}${isOutcomeUnknown(error) ? ", outcome unknown" : ""}`
    : "bug";
const outcomeOf = ({ outcome }: nodepb.CommandResponse) =>
  outcome.case === "error" ? outcome.value.message : outcome.case;

test("a command reaches the node with deadline, trace context and its own body, and is answered", async () => {
  let seen: CommandContext | undefined;
  const server = await serve("n.1", async ({ method, request }, ctx) => {
    seen = ctx;
    return Buffer.from(`${method} of ${text(request)}`);
  });
  const sent = command("s.1");
  const response = await requestCommand(api, "n.1", sent, { ...soon(), trace: { traceparent: "00-a-b-01" } });
  assert.equal(response.outcome.case === "response" && text(response.outcome.value), `${GET} of s.1`);
  assert.equal(response.daemonInstanceId, "boot-1");
  assert.equal(seen?.trace.traceparent, "00-a-b-01");
  assert.ok(Math.abs((seen?.deadline?.getTime() ?? 0) - Date.now() - 5_000) < 2_000);
  await server.stop(1_000);
});

test("ids with dots are one token each, and never another id's", () => {
  assert.equal(commandSubject("a.b").split(".").length, commandSubject("ab").split(".").length);
  assert.notEqual(commandSubject("a.b"), commandSubject("a-b"));
});

test("a command to a node that is not connected fails at once without an effect", async () => {
  const began = performance.now();
  await assert.rejects(requestCommand(api, "nobody", command(), soon(30_000)), (error) => {
    assert.ok(error instanceof PaddockError);
    assert.equal(error.reason, "NODE_UNAVAILABLE");
    assert.equal(isOutcomeUnknown(error), false);
    return true;
  });
  assert.ok(performance.now() - began < 2_000);
});

test("a command that is not answered in time fails with DEADLINE and an unknown outcome", async () => {
  const server = await serve("slow", () => new Promise(() => {}));
  await assert.rejects(requestCommand(api, "slow", command(), soon(100)), (error) => {
    assert.ok(error instanceof PaddockError);
    assert.equal(error.reason, "DEADLINE");
    return isOutcomeUnknown(error);
  });
  void server;
});

test("the handler aborts when the command's time is up, and the node reports it", async () => {
  const server = await serve("strict", (_request, { signal }) => untilAborted(signal));
  const response = await requestCommand(api, "strict", command(), {
    ...soon(),
    nodeDeadline: new Date(Date.now() + 50),
  });
  assert.equal(outcomeOf(response), "DEADLINE");
  await server.stop(1_000);
});

test("a caller that cancels aborts the handler", async () => {
  const started = Promise.withResolvers<void>();
  const aborted = Promise.withResolvers<unknown>();
  const server = await serve("left", (_request, { signal }) => {
    signal.addEventListener("abort", () => aborted.resolve(signal.reason));
    started.resolve();
    return untilAborted(signal);
  });
  const controller = new AbortController();
  const call = requestCommand(api, "left", command(), { ...soon(), signal: controller.signal });
  await started.promise;
  controller.abort(new PaddockError("CANCELLED", "gone"));
  await assert.rejects(call, { reason: "CANCELLED" });
  const reason = await aborted.promise;
  assert.ok(reason instanceof PaddockError && reason.reason === "CANCELLED");
  await server.stop(1_000);
});

/** A node whose commands all wait until `open` is called. */
async function waiting(nodeId: string, perKind: number) {
  const gate = Promise.withResolvers<void>();
  const server = await serve(
    nodeId,
    async (request) => {
      await gate.promise;
      return request.request;
    },
    perKind,
  );
  return { server, open: gate.resolve };
}
const stopCommand = (sandboxId: string) => command(sandboxId, STOP);

test("a command above the limit of a node is refused, not queued", async () => {
  const { server, open } = await waiting("busy", 2);
  const calls = ["a", "b", "c"].map((id) => requestCommand(api, "busy", command(id), soon()));
  const third = await calls[2];
  assert.equal(third && outcomeOf(third), "TOO_MANY");
  open();
  assert.deepEqual((await Promise.all(calls)).map(outcomeOf), ["response", "response", "TOO_MANY"]);
  await server.stop(1_000);
});

test("a node at its limit for one kind of commands accepts other kinds", async () => {
  const { server, open } = await waiting("full", 2);
  const changes = ["a", "b"].map((id) => requestCommand(api, "full", stopCommand(id), soon()));
  const refused = await requestCommand(api, "full", stopCommand("c"), soon());
  assert.equal(outcomeOf(refused), "TOO_MANY");
  const read = requestCommand(api, "full", command("a"), soon());
  while (server.inFlight < 3) await api.connection().flush();
  open();
  assert.equal(outcomeOf(await read), "response");
  await Promise.all(changes);
  await server.stop(1_000);
});

test("commands that wait for one sandbox leave room for others, and release theirs", async () => {
  const { server, open } = await waiting("shared", 4);
  const calls = [1, 2].map(() => requestCommand(api, "shared", command("one"), soon()));
  const refused = await requestCommand(api, "shared", command("one"), soon());
  assert.equal(outcomeOf(refused), "TOO_MANY");
  const other = requestCommand(api, "shared", command("other"), soon());
  while (server.inFlight < 3) await api.connection().flush();
  open();
  assert.equal(outcomeOf(await other), "response");
  await Promise.all(calls);
  for (const _ of [1, 2, 3])
    assert.equal(outcomeOf(await requestCommand(api, "shared", command("one"), soon())), "response");
  await server.stop(1_000);
});

test("a command has the time that its caller has left, regardless of the clocks of other hosts", async (t) => {
  const clocks = Promise.withResolvers<CommandContext>();
  const server = await serve("fast-clock", (_request, ctx) => {
    clocks.resolve(ctx);
    return untilAborted(ctx.signal);
  });
  const controller = new AbortController();
  const sent = requestCommand(api, "fast-clock", command(), { ...soon(60_000), signal: controller.signal });
  // The node's clock is now an hour ahead of the caller's.
  t.mock.timers.enable({ apis: ["Date"], now: Date.now() + 3_600_000 });
  const { signal, deadline } = await clocks.promise;
  const leftMs = (deadline?.getTime() ?? 0) - Date.now();
  t.mock.timers.reset();
  await node.connection().flush();
  assert.equal(signal.aborted, false);
  assert.ok(leftMs > 50_000 && leftMs <= 60_000, `${leftMs}`);
  controller.abort(new PaddockError("CANCELLED", "enough"));
  await assert.rejects(sent, { reason: "CANCELLED" });
  await server.stop(1_000);
});

test("after a reconnect commands are received and answered, including one that started before", async () => {
  const { server, open } = await waiting("again", 4);
  const early = requestCommand(api, "again", command("early"), soon(30_000));
  while (server.inFlight < 1) await api.connection().flush();
  await node.connection().close();
  while (!node.connected) await new Promise((resolve) => setTimeout(resolve, 10));
  await node.connection().flush();
  const late = requestCommand(api, "again", command("late"), soon());
  while (server.inFlight < 2) await api.connection().flush();
  open();
  assert.deepEqual((await Promise.all([early, late])).map(outcomeOf), ["response", "response"]);
  await server.stop(1_000);
});

test("a handler that throws answers with its error", async () => {
  const server = await serve("throws", async () => {
    throw new PaddockError("SANDBOX_NOT_FOUND", "no sandbox s");
  });
  assert.equal(outcomeOf(await requestCommand(api, "throws", command(), soon())), "SANDBOX_NOT_FOUND");
  await server.stop(1_000);
});

test("an unreadable command is answered, and the next one is served", async () => {
  const server = await serve("robust", async (request) => request.request);
  const raw = await api
    .connection()
    .request(commandSubject("robust"), new Uint8Array([255, 255]), { timeout: 2_000 });
  assert.equal(outcomeOf(fromBinary(nodepb.CommandResponseSchema, raw.data)), "INVALID_FIELD");
  assert.equal(outcomeOf(await requestCommand(api, "robust", command(), soon())), "response");
  await server.stop(1_000);
});

test("a message too large for the bus is TOO_LARGE in both directions, and a command with such an answer was carried out", async () => {
  const server = await serve("large", async () => new Uint8Array(2 * 1024 * 1024));
  const response = await requestCommand(api, "large", command(), soon());
  assert.equal(outcomeOf(response), "TOO_LARGE, outcome unknown");
  await assert.rejects(requestCommand(api, "large", command("x".repeat(2 * 1024 * 1024)), soon()), {
    reason: "TOO_LARGE",
  });
  await server.stop(1_000);
});

test("stopping answers commands in flight first and accepts no new ones", async () => {
  const gate = Promise.withResolvers<void>();
  const server = await serve("stopping", async (request) => {
    await gate.promise;
    return request.request;
  });
  const call = requestCommand(api, "stopping", command(), soon());
  while (server.inFlight === 0) await api.connection().flush();
  const stopped = server.stop(5_000);
  await node.connection().flush();
  await assert.rejects(requestCommand(api, "stopping", command(), soon()), { reason: "NODE_UNAVAILABLE" });
  gate.resolve();
  assert.equal(outcomeOf(await call), "response");
  await stopped;
});

test("after the grace period, remaining commands are aborted and answered", async () => {
  const server = await serve("impatient", (_request, { signal }) => untilAborted(signal));
  const call = requestCommand(api, "impatient", command(), soon());
  while (server.inFlight === 0) await api.connection().flush();
  await server.stop(20);
  assert.equal(outcomeOf(await call), "SHUTTING_DOWN");
});

function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
