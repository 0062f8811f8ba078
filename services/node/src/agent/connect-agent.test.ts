import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { PaddockError } from "@paddock/domain";
import { FakeAgent, type FakeAgentOptions } from "../testing/fake-agent.ts";
import { connectAgent } from "./connect-agent.ts";

const ready = (hello: string) => hello.replace("HELLO", "READY");

const reason = (wanted: string) => (error: unknown) => {
  assert.ok(error instanceof PaddockError, String(error));
  assert.equal(error.reason, wanted, error.message);
  return true;
};

async function connected(options: FakeAgentOptions, each: Partial<Parameters<typeof connectAgent>[0]> = {}) {
  const fake = await FakeAgent.start(options);
  const connecting = connectAgent({ socketPath: fake.socketPath, deadlineMs: 5000, ...each });
  connecting.catch(() => undefined);
  return { fake, connecting, [Symbol.asyncDispose]: () => fake[Symbol.asyncDispose]() };
}

async function answers(connecting: ReturnType<typeof connectAgent>) {
  await using agent = await connecting;
  const { guest } = await agent.sandbox.getGuest({});
  assert.equal(guest?.agentVersion, "fake");
}

test("a call reaches the agent behind the handshake", async () => {
  await using bed = await connected({});
  await answers(bed.connecting);
});

test("bytes of an older connection before READY are discarded, in pieces of any size", async () => {
  const stale = Buffer.concat([
    randomBytes(70_000),
    Buffer.from(`\nPADDOCK/1 READY ${"0".repeat(32)}\nPADDOCK/1 READY `),
  ]);
  const greet = async (socket: Socket, hello: string) => {
    socket.write(stale.subarray(0, 33_333));
    socket.write(stale.subarray(33_333));
    for (const character of ready(hello))
      await new Promise<void>((sent) => socket.write(character, () => sent()));
    return true;
  };
  await using bed = await connected({ greet });
  await answers(bed.connecting);
});

test("bytes right after READY belong to HTTP/2", async () => {
  const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
  const ping = Buffer.from([0, 0, 8, 6, 0, 0, 0, 0, 0, ...Buffer.from("answer:)")]);
  const pong = Promise.withResolvers<void>();
  const greet = async (socket: Socket, hello: string) => {
    socket.write(Buffer.concat([Buffer.from(ready(hello)), settings, ping]));
    return true;
  };
  const serve = (socket: Socket) => {
    let seen = "";
    socket.setEncoding("latin1").on("data", (text) => {
      seen += text;
      if (seen.includes("answer:)")) pong.resolve();
    });
  };
  await using bed = await connected({ greet, serve });
  await using _agent = await bed.connecting;
  await pong.promise;
});

test("READY with another nonce does not count", async () => {
  const greet = async (socket: Socket) => socket.write(`PADDOCK/1 READY ${"a".repeat(32)}\n`) && false;
  await using bed = await connected({ greet }, { deadlineMs: 100 });
  await assert.rejects(bed.connecting, reason("GUEST_UNAVAILABLE"));
});

test("the deadline ends an attempt with a silent guest", async () => {
  await using bed = await connected({ greet: async () => false }, { deadlineMs: 100 });
  await assert.rejects(bed.connecting, /did not answer within 100 ms/);
});

test("a flood before READY ends the attempt at a bound of bytes, not at the deadline", async () => {
  const block = Buffer.alloc(65536, 0x41);
  const greet = async (socket: Socket) => {
    const more = () => {
      while (!socket.destroyed && socket.write(block));
    };
    socket.on("drain", more);
    more();
    return false;
  };
  await using bed = await connected({ greet }, { deadlineMs: 60_000, maxDiscardedBytes: 1024 * 1024 });
  await assert.rejects(bed.connecting, /no READY/);
});

test("a guest that hangs up before READY causes another error than a silent one", async () => {
  const greet = async (socket: Socket) => socket.end() && false;
  await using bed = await connected({ greet });
  await assert.rejects(bed.connecting, /hung up/);
});

test("HELLO is sent again after a silence, and then only the last nonce counts", async () => {
  const hellos: string[] = [];
  const greet = async (socket: Socket, hello: string) => {
    hellos.push(hello);
    let seen = "";
    for await (const bytes of socket.iterator({ destroyOnReturn: false })) {
      seen += bytes.toString("latin1");
      if (seen.endsWith("\n")) break;
    }
    hellos.push(seen);
    socket.write(ready(hello));
    socket.write(ready(seen));
    return true;
  };
  await using bed = await connected({ greet }, { repeatAfterMs: 500, deadlineMs: 20_000 });
  await answers(bed.connecting);
  assert.equal(hellos.length, 2);
  assert.notEqual(hellos[0], hellos[1]);
});

test("a call that its caller aborts fails at once with the caller's reason", async () => {
  const leaving = new AbortController();
  await using bed = await connected({ greet: async () => false }, { signal: leaving.signal });
  leaving.abort(new PaddockError("CANCELLED", "the caller left"));
  await assert.rejects(bed.connecting, reason("CANCELLED"));
});

test("a missing socket is named without its path", async () => {
  await using bed = await connected({});
  await using _agent = await bed.connecting;
  const socketPath = join("/nonexistent", "agent.sock");
  await assert.rejects(connectAgent({ socketPath, deadlineMs: 1000 }), (error) => {
    assert.ok(error instanceof PaddockError && error.reason === "GUEST_UNAVAILABLE");
    return error.message.includes("ENOENT") && !error.message.includes("nonexistent");
  });
});

test("a broken connection fails its calls with the reason, and accepts no more", async () => {
  await using bed = await connected({});
  const agent = await bed.connecting;
  await agent.sandbox.getGuest({});
  bed.fake.add("c", "e");
  const waiting = agent.processes.waitProcess({ containerId: "c", execId: "e" }, { timeoutMs: 0 });
  waiting.catch(() => undefined);
  await agent.sandbox.getGuest({});
  bed.fake.dropLink();
  await assert.rejects(waiting, reason("GUEST_UNAVAILABLE"));
  assert.equal((await agent.closed).byUs, false);
  await assert.rejects(agent.sandbox.getGuest({}), reason("GUEST_UNAVAILABLE"));
});

test("a connection that its owner closes fails its calls with the owner's error", async () => {
  await using bed = await connected({});
  const agent = await bed.connecting;
  bed.fake.add("c", "e");
  const waiting = agent.processes.waitProcess({ containerId: "c", execId: "e" }, { timeoutMs: 0 });
  agent.close(new PaddockError("VM_UNAVAILABLE", "the VM ended"));
  await assert.rejects(waiting, reason("VM_UNAVAILABLE"));
  await assert.rejects(agent.sandbox.getGuest({}), reason("VM_UNAVAILABLE"));
});

test("a ping is answered while the agent responds, and not when it is silent or the connection has ended", async () => {
  await using bed = await connected({});
  const agent = await bed.connecting;
  assert.equal(await agent.answersPing(30_000), true);
  bed.fake.dropLink();
  await agent.closed;
  assert.equal(await agent.answersPing(30_000), false);
  await using silent = await connected({ serve: () => undefined });
  await using unheard = await silent.connecting;
  for (let times = 0; times < 6; times++) assert.equal(await unheard.answersPing(20), false);
});
