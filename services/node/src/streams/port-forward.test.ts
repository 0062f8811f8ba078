import assert from "node:assert/strict";
import { test } from "node:test";
import { PaddockError } from "@paddock/domain";
import type { PortForwardResponse } from "@paddock/protocol";
import { type FakeConnection, FakePorts } from "../testing/fake-ports.ts";
import { patternBytes } from "../testing/fake-process.ts";
import { execStart, MACHINE, receive, SANDBOX, type TestBed, testBed } from "../testing/stream-test-bed.ts";

const MIB = 1024 * 1024;
const CHUNK = 64 * 1024;

const start = (port = 80, sandboxId = SANDBOX) => ({
  message: { case: "start" as const, value: { sandboxId, port } },
});
const data = (value: Uint8Array) => ({ message: { case: "data" as const, value } });
const eof = { message: { case: "eof" as const, value: {} } };

/** A test bed whose guest has a server on port 80. */
async function served(serve: (connection: FakeConnection) => void = () => undefined) {
  const ports = new FakePorts().listen(80, serve);
  const bed = await testBed({ routes: ports.routes });
  return { bed, ports, [Symbol.asyncDispose]: () => bed[Symbol.asyncDispose]() };
}

/** A server that answers all that it reads, and ends when its client has. */
const echo = (connection: FakeConnection) => {
  connection.onData = (read) => (read === undefined ? connection.end() : connection.write(read));
};

async function connect(bed: TestBed, port = 80) {
  const call = bed.streams.portForward();
  await call.write(start(port));
  const responses = call[Symbol.asyncIterator]();
  const first = (await responses.next()).value?.message;
  assert.equal(first?.case, "connected");
  return { call, responses, next: async () => (await responses.next()).value?.message };
}

const textOf = (message: PortForwardResponse["message"] | undefined): string | undefined =>
  message?.case === "data" ? Buffer.from(message.value).toString() : message?.case;

/** All bytes of a connection, and the cases of its messages without repeats. */
async function readAll(responses: AsyncIterator<PortForwardResponse>) {
  const read: Uint8Array[] = [];
  const cases: (string | undefined)[] = [];
  for (let next = await responses.next(); next.done !== true; next = await responses.next()) {
    const { message } = next.value;
    if (message.case === "data") read.push(message.value);
    if (cases.at(-1) !== message.case) cases.push(message.case);
  }
  return { bytes: Buffer.concat(read), cases };
}

/** Resolves when the server has seen all that a client had sent before. */
async function settled(bed: TestBed): Promise<void> {
  for (let round = 0; round < 5; round += 1) {
    const call = bed.streams.portForward();
    await call.write(start(7));
    await assert.rejects(readAll(call[Symbol.asyncIterator]()), { reason: "PORT_REFUSED" });
  }
}

test("bytes go both ways, each direction ends by itself, and the stream ends after both", async () => {
  await using on = await served(echo);
  const { call, responses } = await connect(on.bed);
  const sent = patternBytes(0, 5 * MIB);
  const reading = readAll(responses);
  for (let at = 0; at < sent.length; at += 50_000) await call.write(data(sent.subarray(at, at + 50_000)));
  await call.write(eof);
  const { bytes, cases } = await reading;
  assert.ok(bytes.equals(sent));
  assert.deepEqual(cases, ["data", "eof"]);
  assert.equal(on.ports.connections[0]?.isLost, false);
  assert.deepEqual(on.bed.bugs, []);
});

test("a client may send after the server has ended, and the end of its requests is its end", async () => {
  let heard = "";
  await using on = await served((connection) => {
    connection.end();
    connection.onData = (read) => {
      heard += read ?? "";
    };
  });
  const { call, responses, next } = await connect(on.bed);
  assert.equal((await next())?.case, "eof");
  await call.write(data(Buffer.from("late")));
  call.end();
  assert.deepEqual((await readAll(responses)).cases, []);
  assert.equal(heard, "late");
});

test("a reset in the guest comes after the bytes before it, with a reason on one line", async () => {
  await using on = await served((connection) => {
    connection.write(Buffer.from("no"));
    connection.reset("reset\n\u001b[2Jby peer");
  });
  const { next } = await connect(on.bed);
  assert.equal(textOf(await next()), "no");
  const reset = await next();
  assert.ok(reset?.case === "reset");
  assert.equal(reset.value.reason, "reset [2Jby peer");
  assert.equal(await next(), undefined);
});

test("a client that cancels resets the connection in the guest", async () => {
  await using on = await served();
  const { call, responses } = await connect(on.bed);
  call.cancel();
  await assert.rejects(readAll(responses), { reason: "CANCELLED" });
  await settled(on.bed);
  assert.equal(on.ports.connections[0]?.isLost, true);
});

test("a port without a server is PORT_REFUSED, by port and sandbox", async () => {
  await using on = await served();
  const call = on.bed.streams.portForward();
  await call.write(start(81));
  await assert.rejects(readAll(call[Symbol.asyncIterator]()), (error) => {
    assert.ok(error instanceof PaddockError && error.kind === "failed_precondition");
    assert.equal(error.reason, "PORT_REFUSED");
    assert.match(error.message, /^nothing listens on port 81 in sandbox s1/);
    return true;
  });
});

test("a client that reads nothing stops the server, and what it sends still arrives", async () => {
  await using on = await served((connection) => connection.write(patternBytes(0, 32 * MIB)));
  const { call, responses } = await connect(on.bed);
  const [connection] = on.ports.connections;
  assert.ok(connection);
  for (let at = 0; at < 4 * MIB; at += CHUNK) await call.write(data(new Uint8Array(CHUNK)));
  await settled(on.bed);
  assert.equal(connection.arrivedBytes, 4 * MIB);
  assert.ok(connection.sentBytes < 3 * MIB, `${connection.sentBytes} bytes are on their way`);
  const before = connection.sentBytes;
  await settled(on.bed);
  assert.equal(connection.sentBytes, before);
  connection.end();
  await call.write(eof);
  assert.ok((await readAll(responses)).bytes.equals(patternBytes(0, 32 * MIB)));
});

test("a server that reads nothing stops its client at one window, and what it sends still arrives", async () => {
  await using on = await served((connection) => {
    connection.isReading = false;
  });
  const { call, next } = await connect(on.bed);
  const [connection] = on.ports.connections;
  assert.ok(connection);
  let written = 0;
  const writing = (async () => {
    for (; written < 32 * MIB; written += CHUNK) await call.write(data(new Uint8Array(CHUNK)));
  })();
  connection.write(Buffer.from("hello"));
  assert.equal(textOf(await next()), "hello");
  await settled(on.bed);
  assert.equal(connection.arrivedBytes, 128 * 1024);
  assert.ok(written < 3 * MIB, `${written} bytes are on their way`);
  connection.read();
  await writing;
  await settled(on.bed);
  assert.equal(connection.arrivedBytes, 32 * MIB);
  call.cancel();
});

test("256 connections are open at once, another one is TOO_MANY, and a command still runs", async () => {
  const ports = new FakePorts().listen(80, echo);
  await using bed = await testBed({ routes: ports.routes, command: (process) => process.end(0) });
  const open = await Promise.all(Array.from({ length: 256 }, () => connect(bed)));
  const more = bed.streams.portForward();
  await more.write(start());
  await assert.rejects(readAll(more[Symbol.asyncIterator]()), (error) => {
    assert.ok(error instanceof PaddockError && error.kind === "resource_exhausted");
    return error.reason === "TOO_MANY";
  });
  const exec = bed.streams.exec();
  await exec.write(execStart(["true"]));
  assert.equal((await receive(exec)).cases.at(-1), "exited");
  const [first] = open;
  await first?.call.write(eof);
  while ((await first?.next()) !== undefined);
  await connect(bed);
  for (const { call } of open) call.cancel();
});

test("the end of a VM ends a connection with the recorded cause, and a lost link as GUEST_UNAVAILABLE", async () => {
  const cause = new PaddockError("VM_UNAVAILABLE", "the VM ended", { metadata: { cause: "vm_lost" } });
  await using on = await served();
  const first = await connect(on.bed);
  on.bed.fake.dropLink();
  await assert.rejects(first.next(), { reason: "GUEST_UNAVAILABLE" });
  const second = await connect(on.bed);
  // The link breaks before the end of the VM is recorded.
  on.bed.fake.dropLink();
  const closing = setImmediate(() => on.bed.link.close(cause));
  await assert.rejects(second.next(), (error) => {
    assert.ok(error instanceof PaddockError && error.reason === "VM_UNAVAILABLE", String(error));
    return error.metadata.cause === "vm_lost";
  });
  clearImmediate(closing);
});

test("a sandbox that does not run is WRONG_STATE, and no connection is made", async () => {
  await using on = await served();
  for (const phase of [
    { kind: "paused", machine: MACHINE, startedAtMs: 1 },
    { kind: "ready", machine: MACHINE },
  ] as const) {
    on.bed.sandboxPhase = phase;
    const call = on.bed.streams.portForward();
    await call.write(start());
    await assert.rejects(readAll(call[Symbol.asyncIterator]()), { reason: "WRONG_STATE" });
  }
  assert.equal(on.ports.connections.length, 0);
});

test("a request that may not be sent is INVALID_FIELD, and resets the connection", async () => {
  await using on = await served();
  for (const port of [0, 65_536]) {
    const call = on.bed.streams.portForward();
    await call.write(start(port));
    await assert.rejects(readAll(call[Symbol.asyncIterator]()), { reason: "INVALID_FIELD" });
  }
  const late = [eof, data(Buffer.from("late"))];
  for (const requests of [[start()], [data(new Uint8Array(0))], [data(new Uint8Array(65_537))], late]) {
    const { call, responses } = await connect(on.bed);
    for (const request of requests) await call.write(request);
    await assert.rejects(readAll(responses), { reason: "INVALID_FIELD" });
  }
  await settled(on.bed);
  assert.deepEqual(
    on.ports.connections.map(({ isLost }) => isLost),
    [true, true, true, true],
  );
});
