import assert from "node:assert/strict";
import * as http2 from "node:http2";
import type { Socket } from "node:net";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import { PaddockError } from "@paddock/domain";
import { agentpb } from "@paddock/protocol";
import { FakeAgent, type FakeAgentOptions } from "../testing/fake-agent.ts";
import { type AgentClient, connectAgent } from "./connect-agent.ts";
import { attachProcess } from "./process-call.ts";
import { ProcessInputs } from "./process-inputs.ts";

const reason = (wanted: string) => (error: unknown) => {
  assert.ok(error instanceof PaddockError, String(error));
  assert.equal(error.reason, wanted, error.message);
  return true;
};

async function guest(options: FakeAgentOptions) {
  await using undo = new AsyncDisposableStack();
  const fake = undo.use(await FakeAgent.start(options));
  const agent = undo.use(await connectAgent({ socketPath: fake.socketPath, deadlineMs: 5000 }));
  const made = undo.move();
  return { fake, agent, [Symbol.asyncDispose]: () => made.disposeAsync() };
}

/** Writes what `next` returns until the peer closes the socket. */
function flood(socket: Socket, next: () => Buffer): void {
  const more = () => {
    while (!socket.destroyed && socket.write(next()));
  };
  socket.on("drain", more);
  more();
}

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(stream, 5);
  return Buffer.concat([header, payload]);
}

const NOTHING = Buffer.alloc(0);
const SETTINGS = frame(4, 0, 0, NOTHING);
const many = (one: Buffer): Buffer => Buffer.concat(Array.from({ length: 1000 }, () => one));

/** Calls fail, and the daemon continues. */
async function ends(agent: AgentClient): Promise<void> {
  await assert.rejects(agent.sandbox.getGuest({}, { timeoutMs: 10_000 }), reason("GUEST_UNAVAILABLE"));
  await agent.closed;
}

test("garbage in place of HTTP/2 ends the connection", async () => {
  await using bed = await guest({ serve: (socket) => socket.write("no HTTP at all\r\n".repeat(100)) });
  await ends(bed.agent);
});

for (const [name, one] of [
  ["pings", frame(6, 0, 0, Buffer.alloc(8))],
  ["settings", SETTINGS],
  ["acknowledgements of pings that nobody sent", frame(6, 1, 0, Buffer.alloc(8))],
  ["window updates", frame(8, 0, 0, Buffer.from([0, 0, 0, 1]))],
  ["priorities", frame(2, 0, 1, Buffer.from([0, 0, 0, 3, 1]))],
  ["frames of an unknown type", frame(99, 0, 0, Buffer.alloc(16))],
] as const)
  test(`a flood of ${name} ends the connection`, async () => {
    const block = many(one);
    await using bed = await guest({
      serve: (socket) => {
        socket.resume();
        socket.write(SETTINGS);
        flood(socket, () => block);
      },
    });
    await bed.agent.closed;
    await ends(bed.agent);
  });

test("a message that claims to be too large is refused before it has arrived", async () => {
  await using bed = await guest({
    routes: (router) =>
      router.service(agentpb.SandboxService, {
        getGuest: () => ({ guest: { agentVersion: "x".repeat(300_000) } }),
      }),
  });
  await assert.rejects(bed.agent.sandbox.getGuest({}), reason("TOO_MANY"));
  assert.equal(bed.agent.end, undefined);
});

test("a list may be longer than other answers", async () => {
  const containers = Array.from({ length: 3000 }, (_, index) => ({
    containerId: `${index}`.padStart(100, "0"),
  }));
  await using bed = await guest({
    routes: (router) => router.service(agentpb.ContainerService, { listContainers: () => ({ containers }) }),
  });
  assert.equal((await bed.agent.containers.listContainers({})).containers.length, 3000);
});

test("a text of the guest becomes one short line without control characters", async () => {
  const text = `\u001b[2J\nfake log line\r\u202eevil ${"x".repeat(100_000)}`.slice(0, 8000);
  await using bed = await guest({
    routes: (router) =>
      router.service(agentpb.ContainerService, {
        getContainer: () => {
          throw new ConnectError(text, Code.Internal);
        },
      }),
  });
  await assert.rejects(bed.agent.containers.getContainer({ containerId: "c" }), (error) => {
    assert.ok(error instanceof PaddockError && error.reason === "GUEST_FAILED");
    assert.match(error.message, /^GetContainer in the guest failed: \[2J fake log line evil x+…$/);
    return error.message.length < 700;
  });
});

test("a guest that resets every stream fails each call, and the connection stays", async () => {
  await using bed = await guest({
    routes: (router) =>
      router.service(agentpb.SandboxService, {
        getGuest: () => {
          throw new ConnectError("no", Code.Unavailable);
        },
      }),
  });
  for (let call = 0; call < 200; call += 1)
    await assert.rejects(bed.agent.sandbox.getGuest({}), reason("GUEST_UNAVAILABLE"));
  assert.equal(bed.agent.end, undefined);
});

for (const [name, code] of [
  ["no error", 0],
  ["a refusal", 7],
  ["a cancellation", 8],
] as const)
  test(`a call that the guest resets with ${name} and no answer fails, without a deadline`, async () => {
    const server = http2
      .createServer()
      .on("stream", (stream) => stream.on("error", () => undefined).close(code));
    await using bed = await guest({ serve: (socket) => void server.emit("connection", socket) });
    const request = { containerId: "c", execId: "e" };
    await assert.rejects(bed.agent.processes.waitProcess(request, { timeoutMs: 0 }), PaddockError);
    const exec = bed.agent.processes.attach((async function* () {})())[Symbol.asyncIterator]();
    await assert.rejects(exec.next(), PaddockError);
    assert.equal(bed.agent.end, undefined);
  });

test("an endless stream of tiny messages is read at a bounded pace", async () => {
  await using bed = await guest({
    routes: (router) =>
      router.service(agentpb.SandboxService, {
        watchEvents: async function* (_, { signal }) {
          // This guest shares the event loop with its reader, which could not stop it otherwise.
          for (let sequence = 1n; !signal.aborted; sequence += 1n) {
            if (sequence % 100n === 0n) await turn();
            yield { sequence };
          }
        },
      }),
  });
  const leaving = new AbortController();
  const begun = performance.now();
  let count = 0;
  for await (const _ of bed.agent.sandbox.watchEvents({}, { signal: leaving.signal })) {
    count += 1;
    if (count === 2000) break;
  }
  leaving.abort();
  // 500 in each tenth of a second.
  assert.ok(performance.now() - begun >= 290);
});

test("a call to a guest that does not answer fails at its deadline", async () => {
  await using bed = await guest({ serve: (socket) => socket.resume().write(SETTINGS) });
  await assert.rejects(bed.agent.sandbox.getGuest({}, { timeoutMs: 50 }), reason("DEADLINE"));
});

test("clients' streams beyond a bound are refused, and take no places of kills, health checks and logs", async () => {
  await using bed = await guest({
    routes: (router) =>
      router.service(agentpb.ContainerService, { killContainer: () => ({}), listContainers: () => ({}) }),
  });
  const { agent, fake } = bed;
  fake.add("c", "e");
  const wait = () => agent.processes.waitProcess({ containerId: "c", execId: "e" }, { timeoutMs: 0 });
  for (const each of Array.from({ length: 512 }, wait)) each.catch(() => undefined);
  await assert.rejects(wait(), (error) => {
    assert.ok(error instanceof PaddockError && error.hint?.includes("end some"), String(error));
    return reason("TOO_MANY")(error);
  });
  await agent.sandbox.getGuest({}, { timeoutMs: 20_000 });
  await agent.containers.killContainer({ containerId: "c" }, { timeoutMs: 20_000 });
  await agent.containers.listContainers({}, { timeoutMs: 20_000 });
  const leaving = new AbortController();
  const followed = Array.from({ length: 128 }, async (_, index) => {
    const containerId = `c${index}`;
    fake.add(containerId, containerId);
    const point = { containerId, execId: containerId };
    const call = { inputs: new ProcessInputs(), signal: leaving.signal, follower: true };
    for await (const { kind } of attachProcess(agent, point, call)) if (kind === "started") return;
    assert.fail(`${containerId} is not followed`);
  });
  await Promise.all(followed);
  leaving.abort();
});

test("unanswered calls of one kind take no places of another kind", async () => {
  const never = Promise.withResolvers<Record<string, never>>().promise;
  await using bed = await guest({
    routes: (router) =>
      router.service(agentpb.ContainerService, { listProcesses: () => never, killContainer: () => ({}) }),
  });
  const { containers } = bed.agent;
  const list = () => containers.listProcesses({ containerId: "c" }, { timeoutMs: 0 });
  for (const each of Array.from({ length: 1000 }, list)) each.catch(() => undefined);
  await assert.rejects(list(), reason("TOO_MANY"));
  await containers.killContainer({ containerId: "c" }, { timeoutMs: 20_000 });
});

test("a call that ends gives its place back, whether it was answered or aborted", async () => {
  await using bed = await guest({});
  const { agent, fake } = bed;
  const waits = (execId: string, options: object = {}) =>
    Array.from({ length: 512 }, () =>
      agent.processes.waitProcess({ containerId: "c", execId }, { timeoutMs: 0, ...options }),
    );
  const leaving = new AbortController();
  const process = fake.add("c", "e");
  const left = Promise.allSettled(waits("e", { signal: leaving.signal }));
  await agent.sandbox.getGuest({}, { timeoutMs: 20_000 });
  leaving.abort(new Error("left"));
  for (const each of await left) assert.ok(each.status === "rejected" && /left/.test(String(each.reason)));
  await agent.sandbox.getGuest({}, { timeoutMs: 20_000 });
  const answered = Promise.all(waits("e"));
  process.end(7);
  for (const { status } of await answered) assert.equal(status?.code, 7);
  await agent.sandbox.getGuest({}, { timeoutMs: 20_000 });
  assert.equal((await agent.processes.waitProcess({ containerId: "c", execId: "e" })).status?.code, 7);
});
