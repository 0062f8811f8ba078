import assert from "node:assert/strict";
import { test } from "node:test";
import { PaddockError } from "@paddock/domain";
import { agentpb, OutputStream } from "@paddock/protocol";
import { patternBytes } from "../testing/fake-process.ts";
import {
  ack,
  attachStart,
  CONTAINER,
  execStart,
  input,
  receive,
  type TestBedOptions,
  testBed,
} from "../testing/stream-test-bed.ts";

const MIB = 1024 * 1024;

const reason = (wanted: string) => (error: unknown) => {
  assert.ok(error instanceof PaddockError, String(error));
  assert.equal(error.reason, wanted, error.message);
  return true;
};

/** Programs of the fake guest. */
const command: TestBedOptions["command"] = (process, [name, ...args]) => {
  if (name === "true") process.end(0);
  if (name === "fail") {
    process.writeStderr(Buffer.from("no\n"));
    process.end(Number(args[0]));
  }
  if (name === "pattern") {
    process.writeStdout(Number(args[0]));
    process.end(0);
  }
  if (name === "copy") {
    process.accepted = () => Math.min(process.stdinBytes, process.stdout.end);
    process.onStdin = (bytes) => (bytes === undefined ? process.end(0) : process.writeStdout(bytes.length));
  }
  if (name === "cat")
    process.onStdin = (bytes) => (bytes === undefined ? process.end(0) : process.writeStderr(bytes));
};

test("a process's output, ends of streams and exit arrive in order, and the call ends", async () => {
  await using bed = await testBed({ command });
  const call = bed.streams.exec();
  await call.write(execStart(["fail", "3"], { execId: "e1" }));
  const { cases, outputs, stderr } = await receive(call);
  assert.equal(stderr.toString(), "no\n");
  assert.equal(cases[0], "started");
  // Only the end of the other stream is sent: the exit implies the one that it follows.
  assert.deepEqual(cases.slice(1, -1).toSorted(), ["chunk", "eof"]);
  const [started, exited] = [outputs[0], outputs.at(-1)];
  assert.ok(started?.case === "started" && started.value.execId === "e1");
  assert.ok(exited?.case === "exited" && exited.value.code === 3);
  assert.deepEqual(bed.bugs, []);
});

test("100 MB of output arrive byte-exact, and the daemon's memory does not grow with them", async () => {
  await using bed = await testBed({ command });
  const call = bed.streams.exec();
  await call.write(execStart(["pattern", String(100 * MIB)]));
  let offset = 0;
  let peak = 0;
  const before = process.memoryUsage().rss;
  for await (const response of call) {
    const output = response.output?.output;
    if (output?.case !== "chunk") continue;
    const { data } = output.value;
    assert.ok(patternBytes(offset, data.length).equals(data), `bytes from ${offset} on are wrong`);
    offset += data.length;
    if (offset % MIB < data.length) {
      await call.write(ack(offset));
      peak = Math.max(peak, process.memoryUsage().rss);
    }
  }
  assert.equal(offset, 100 * MIB);
  assert.ok(peak - before < 200 * MIB, `grew by ${(peak - before) / MIB} MiB`);
});

test("stdin larger than any window reaches the process byte-exact and is acknowledged", async () => {
  await using bed = await testBed({ command });
  const call = bed.streams.exec();
  await call.write(execStart(["cat"], { stdin: true, execId: "e" }));
  const sent = patternBytes(3, 8 * MIB);
  const writing = (async () => {
    for (let at = 0; at < sent.length; at += 500_000)
      await call.write(input({ case: "stdin", value: { data: sent.subarray(at, at + 500_000) } }));
    await call.write(input({ case: "stdinEof", value: {} }));
  })();
  let got = 0;
  const { stderr, outputs } = await receive(call, async (output) => {
    if (output.case !== "chunk") return;
    got += output.value.data.length;
    await call.write(ack(0, got)).catch(() => undefined);
  });
  await writing;
  assert.ok(stderr.equals(sent));
  const acks = outputs.flatMap((output) => (output.case === "stdinAck" ? Number(output.value.offset) : []));
  assert.equal(acks.at(-1), sent.length);
});

test("much stdin and a small ring do not block each other, even though acknowledgements follow stdin", async () => {
  await using bed = await testBed({ command });
  const call = bed.streams.exec();
  await call.write(execStart(["copy"], { stdin: true, execId: "e", ringBytes: 65_536 }));
  const total = 8 * MIB;
  const writing = (async () => {
    for (let at = 0; at < total; at += MIB)
      await call.write(input({ case: "stdin", value: { data: new Uint8Array(MIB) } }));
    await call.write(input({ case: "stdinEof", value: {} }));
  })();
  let got = 0;
  const { stdout } = await receive(call, (output) => {
    if (output.case !== "chunk") return;
    got += output.value.data.length;
    // Not awaited: the transport sends it after the earlier stdin.
    call.write(ack(got)).catch(() => undefined);
  });
  await writing;
  assert.ok(stdout.equals(patternBytes(0, total)));
});

test("a link that breaks in mid-stream is reopened, and the client sees each byte once", async () => {
  await using bed = await testBed({ command });
  const call = bed.streams.exec();
  await call.write(execStart(["pattern", String(20 * MIB)], { ringBytes: 1 * MIB }));
  let offset = 0;
  let drops = 0;
  const { stdout, cases, outputs } = await receive(call, async (output) => {
    if (output.case !== "chunk") return;
    assert.equal(Number(output.value.offset), offset);
    offset += output.value.data.length;
    if (offset / MIB > (drops + 1) * 3) {
      drops += 1;
      bed.fake.dropLink();
    }
    await call.write(ack(offset));
  });
  assert.ok(drops >= 5);
  assert.equal(bed.fake.connections, drops + 1);
  assert.ok(stdout.equals(patternBytes(0, 20 * MIB)));
  assert.equal(cases.filter((each) => each === "started").length, 1);
  const ends = outputs.flatMap((each) => (each.case === "eof" ? [each.value.stream] : []));
  assert.equal(new Set(ends).size, ends.length, "no end is sent twice");
  assert.equal(cases.at(-1), "exited");
});

test("stdin that the guest had not accepted when the link broke is sent again, once", async () => {
  await using bed = await testBed({ command });
  const call = bed.streams.exec();
  await call.write(execStart(["cat"], { stdin: true, execId: "e" }));
  const sent = patternBytes(0, 3 * MIB);
  let got = 0;
  let drops = 0;
  const receiving = receive(call, async (output) => {
    if (output.case !== "chunk") return;
    got += output.value.data.length;
    if (got / MIB > drops + 0.5 && drops < 3) {
      drops += 1;
      bed.fake.dropLink();
    }
    await call.write(ack(0, got)).catch(() => undefined);
  });
  for (let at = 0; at < sent.length; at += 100_000)
    await call.write(input({ case: "stdin", value: { data: sent.subarray(at, at + 100_000) } }));
  await call.write(input({ case: "stdinEof", value: {} }));
  const { stderr, cases } = await receiving;
  assert.ok(stderr.equals(sent));
  assert.ok(drops > 0);
  assert.equal(cases.at(-1), "exited");
  assert.ok(Buffer.concat(bed.fake.processes.get(`${CONTAINER}/e`)?.stdin ?? []).equals(sent));
});

test("the end of a VM ends the stream with the recorded cause", async () => {
  await using bed = await testBed({ command });
  const call = bed.streams.exec();
  await call.write(execStart(["sleep"]));
  const receiving = receive(call, (output) => {
    if (output.case === "started")
      bed.link.close(
        new PaddockError("VM_UNAVAILABLE", "the VM ended (vm_lost)", { metadata: { cause: "vm_lost" } }),
      );
  });
  await assert.rejects(receiving, (error) => {
    assert.ok(error instanceof PaddockError && error.reason === "VM_UNAVAILABLE");
    return error.metadata.cause === "vm_lost";
  });
});

test("a client that leaves ends its hold, and the process continues", async () => {
  await using bed = await testBed({ command });
  const call = bed.streams.exec();
  await call.write(execStart(["sleep"], { execId: "e" }));
  const started = Promise.withResolvers<void>();
  const receiving = receive(call, (output) => {
    if (output.case === "started") started.resolve();
  });
  await started.promise;
  assert.equal(bed.fake.openStreams, 1);
  call.cancel();
  await assert.rejects(receiving, reason("CANCELLED"));
  await bed.fake.streamClosed();
  const process = bed.fake.processes.get(`${CONTAINER}/e`);
  assert.equal(process?.exit, undefined);
  assert.equal(process?.stdout.holders.size, 0);
});

test("a client that reads nothing stops the process, and the daemon keeps little for it", async () => {
  await using bed = await testBed({ command });
  const call = bed.streams.exec();
  await call.write(execStart(["pattern", String(64 * MIB)], { execId: "e", ringBytes: 1 * MIB }));
  // The other call's answer comes after everything that the first could still send.
  const second = bed.streams.exec();
  await second.write(execStart(["true"]));
  await receive(second);
  const process = bed.fake.processes.get(`${CONTAINER}/e`);
  assert.ok((process?.stdout.end ?? Infinity) <= 1 * MIB);
  call.cancel();
});

test("signals and sizes reach the process, by name and number", async () => {
  await using bed = await testBed({ command });
  const call = bed.streams.exec();
  await call.write(execStart(["sleep"], { execId: "e" }));
  await call.write(input({ case: "resize", value: { rows: 24, columns: 80 } }));
  await call.write(input({ case: "signal", value: "usr1" }));
  await call.write(input({ case: "signal", value: "15" }));
  const { outputs } = await receive(call);
  const process = bed.fake.processes.get(`${CONTAINER}/e`);
  assert.deepEqual(process?.resizes, ["80x24"]);
  assert.deepEqual(process?.signals, [10, 15]);
  const exited = outputs.at(-1);
  assert.ok(exited?.case === "exited" && exited.value.signal === 15 && exited.value.code === 143);
});

test("closing an output reaches the process", async () => {
  await using bed = await testBed({ command });
  const call = bed.streams.exec();
  await call.write(execStart(["sleep"], { execId: "e" }));
  await call.write(input({ case: "outputClose", value: { stream: OutputStream.STDERR } }));
  await call.write(input({ case: "signal", value: "15" }));
  await receive(call);
  assert.deepEqual(bed.fake.processes.get(`${CONTAINER}/e`)?.closes, [agentpb.Stream.STDERR]);
});

test("an exec that cannot run is refused with the reason", async () => {
  await using bed = await testBed({ command });
  const refused = async (start: ReturnType<typeof execStart>, wanted: string) => {
    const call = bed.streams.exec();
    await call.write(start);
    await assert.rejects(receive(call), reason(wanted));
  };
  await refused(execStart(["true"], { execId: CONTAINER }), "PROCESS_EXISTS");
  await refused(execStart([]), "INVALID_FIELD");
  const unknown = execStart(["true"]);
  unknown.message.value.sandboxId = "other";
  await refused(unknown, "SANDBOX_NOT_FOUND");
  unknown.message.value.sandboxId = "s1";
  unknown.message.value.containerId = "other";
  await refused(unknown, "CONTAINER_NOT_FOUND");
  const twice = bed.streams.exec();
  await twice.write(execStart(["true"], { execId: "e" }));
  await receive(twice);
  await refused(execStart(["true"], { execId: "e" }), "PROCESS_EXISTS");
  bed.phase = { kind: "ready" };
  await refused(execStart(["true"]), "WRONG_STATE");
  assert.deepEqual(bed.bugs, []);
});

test("invalid inputs end the stream: a gap in stdin, an unknown signal, an acknowledgement of unsent bytes", async () => {
  await using bed = await testBed({ command });
  const wrong = [
    { message: input({ case: "stdin", value: { offset: 5n, data: Buffer.from("x") } }), wanted: "STDIN_GAP" },
    { message: input({ case: "signal", value: "NOPE" }), wanted: "INVALID_FIELD" },
    { message: ack(1), wanted: "INVALID_FIELD" },
    { message: execStart(["true"]), wanted: "INVALID_FIELD" },
  ];
  for (const { message, wanted } of wrong) {
    const call = bed.streams.exec();
    await call.write(execStart(["sleep"], { stdin: true }));
    await call.write(message);
    await assert.rejects(receive(call), reason(wanted));
  }
  assert.deepEqual(bed.bugs, []);
});

test("a process is joined from any offset that is held, and from the oldest without one", async () => {
  await using bed = await testBed({ command });
  const process = bed.fake.add(CONTAINER, "e");
  process.writeStdout(300_000);
  process.end(0);
  const join = async (from: { stdout?: number }) => {
    const call = bed.streams.attach();
    await call.write(attachStart("e", from));
    return await receive(call);
  };
  assert.ok((await join({ stdout: 123_456 })).stdout.equals(patternBytes(123_456, 300_000 - 123_456)));
  assert.equal((await join({})).stdout.length, 300_000);
  await assert.rejects(join({ stdout: 300_001 }), reason("OFFSET_NOT_HELD"));
  const gone = bed.streams.attach();
  await gone.write(attachStart("nobody"));
  await assert.rejects(receive(gone), reason("PROCESS_NOT_FOUND"));
});
