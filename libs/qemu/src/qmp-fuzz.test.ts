/**
 * Generated monitor output: the reader survives it, or closes the connection with a reason. `fuzz-corpus/` has inputs of earlier
 * failures.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { onHotPlug } from "./hot-plug.ts";
import { Monitor } from "./monitor.ts";
import { QmpSession } from "./qmp-session.ts";

const GREETING = '{"QMP":{"version":{"qemu":{"major":7,"minor":2,"micro":22}},"capabilities":[]}}\n';
const CORPUS = join(import.meta.dirname, "fuzz-corpus");

/** A monitor that greets and accepts the capabilities; then the test controls it. */
async function peer(body: (session: QmpSession, socket: Socket) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "paddock-qmp-fuzz-"));
  const accepted = Promise.withResolvers<Socket>();
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.write(GREETING);
    socket.once("data", () => {
      socket.resume();
      socket.write('{"return":{},"id":1}\n', () => accepted.resolve(socket));
    });
  });
  const path = join(directory, "qmp");
  await new Promise<void>((resolve) => server.listen(path, resolve));
  try {
    const session = await QmpSession.open({ path, timeoutMs: 30_000 });
    const socket = await accepted.promise;
    await body(session, socket);
    session.close();
    socket.destroy();
  } finally {
    await new Promise((resolve) => server.close(resolve));
    await rm(directory, { recursive: true, force: true });
  }
}

/** Adds all listeners and waits that a machine has, so that every handler sees the generated input. */
function listen(session: QmpSession): Promise<unknown>[] {
  const monitor = new Monitor(session);
  onHotPlug(monitor, () => undefined);
  for (const name of ["GUEST_PANICKED", "SHUTDOWN", "BLOCK_IO_ERROR", "RESUME"])
    session.on(name, () => undefined);
  const options = { timeoutMs: 30_000 };
  return [
    monitor.status(options),
    monitor.vcpus(options),
    monitor.vcpuSlots(options),
    monitor.memory(options),
    monitor.pluggableMemory(options),
    monitor.readSerial(100, options),
    monitor.removeDevice({ kind: "disk", id: "d" }, options),
    monitor.loadState(3, options),
  ];
}

/** The session reads the bytes, split at `cuts`, and then still answers or has ended with a reason. */
async function survives(bytes: Uint8Array, cuts: readonly number[]): Promise<void> {
  await peer(async (session, socket) => {
    const calls = Promise.allSettled(listen(session));
    let at = 0;
    for (const cut of cuts) {
      socket.write(bytes.subarray(at, at + cut));
      at += cut;
    }
    socket.write(bytes.subarray(at));
    socket.end();
    const reason = await session.closed;
    assert.ok(["qmp-closed", "qmp-protocol"].includes(reason.kind), reason.kind);
    for (const call of await calls)
      if (call.status === "rejected") assert.ok(String(call.reason).length < 5000);
  });
}

const word = fc.constantFrom(
  ...[
    "event",
    "id",
    "return",
    "error",
    "data",
    "timestamp",
    "seconds",
    "desc",
    "class",
    "status",
    "path",
    "device",
  ],
  ...["error", "newListener", "*", "__proto__", "constructor", "toString", "MIGRATION", "DEVICE_DELETED"],
  ...[
    "MEMORY_DEVICE_SIZE_CHANGE",
    "DEVICE_UNPLUG_GUEST_ERROR",
    "BLOCK_IO_ERROR",
    "GUEST_PANICKED",
    "SHUTDOWN",
  ],
);
const value = fc.letrec((tie) => ({
  json: fc.oneof(
    { depthSize: "small" },
    word,
    fc.integer({ min: -2, max: 10 }),
    fc.double(),
    fc.constant(null),
    fc.boolean(),
    fc.array(tie("json"), { maxLength: 3 }),
    fc.dictionary(word, tie("json"), { maxKeys: 4 }),
  ),
})).json;
const line = fc.oneof(
  fc.record({ event: word, data: value, timestamp: value }, { requiredKeys: ["event"] }),
  fc.record({ id: fc.integer({ min: 0, max: 9 }), return: value }),
  fc.record({ id: fc.integer({ min: 0, max: 9 }), error: value }),
  fc.dictionary(word, value),
);
const sent = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .array(line, { maxLength: 20 })
      .map((all) => all.map((each) => `${JSON.stringify(each)}\n`).join("")),
  },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 200 }) },
);

test("for any monitor output, the session answers or ends with a reason, and the process survives", async () => {
  await fc.assert(
    fc.asyncProperty(sent, fc.array(fc.nat(40), { maxLength: 8 }), (text, cuts) =>
      survives(Buffer.from(text), cuts),
    ),
    { numRuns: 150 },
  );
});

for (const name of readdirSync(CORPUS))
  test(`input of an earlier failure: ${name}`, () => survives(readFileSync(join(CORPUS, name)), [1, 7]));

test("a deeply nested value is harmless", async () => {
  const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
  for (const text of [
    `{"event":"MIGRATION","data":{"status":${deep}}}\n`,
    `{"id":2,"return":${deep}}\n{"id":3,"error":{"desc":${deep}}}\n`,
  ])
    await survives(Buffer.from(text), []);
});

test("endless events are read at a bounded pace, and commands are answered between them", async () => {
  await peer(async (session, socket) => {
    const event = Buffer.from(
      '{"event":"BLOCK_IO_ERROR","data":{"action":"report"},"timestamp":{"seconds":1}}\n'.repeat(100),
    );
    let count = 0;
    session.on("BLOCK_IO_ERROR", () => {
      count += 1;
    });
    const flood = () => {
      while (!socket.destroyed && socket.write(event));
    };
    socket.on("drain", flood);
    const begun = performance.now();
    flood();
    while (count < 3000) await new Promise((resolve) => setTimeout(resolve, 5));
    // 2048 at once, then at most one per millisecond, because bytes count too.
    assert.ok(performance.now() - begun > 700, `${count} events in ${performance.now() - begun} ms`);
    const answer = session.execute("query-name", {}, { timeoutMs: 30_000 });
    socket.off("drain", flood);
    socket.write('{"return":{"name":"x"},"id":2}\n');
    assert.deepEqual(await answer, { name: "x" });
  });
});
