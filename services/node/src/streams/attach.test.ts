import assert from "node:assert/strict";
import { test } from "node:test";
import { PaddockError } from "@paddock/domain";
import { OutputStream } from "@paddock/protocol";
import { patternBytes } from "../testing/fake-process.ts";
import {
  ack,
  attachStart,
  CONTAINER,
  receive,
  SANDBOX,
  type TestBed,
  testBed,
} from "../testing/stream-test-bed.ts";

const MIB = 1024 * 1024;

/** Settles when the log has this many bytes of stdout. */
async function logged(bed: TestBed, bytes: number): Promise<void> {
  await using open = await bed.logs.open(bed.sandbox, CONTAINER);
  while (open.log.offsets.stdout < bytes) await open.log.changes.next(AbortSignal.timeout(20_000));
}

/** An init with a small ring whose log is followed. */
function followed(bed: TestBed) {
  const process = bed.fake.add(CONTAINER, CONTAINER, 256 * 1024);
  bed.logs.follow(bed.sandbox, CONTAINER);
  return process;
}

async function join(bed: TestBed, from: { stdout?: number; stderr?: number }) {
  const call = bed.streams.attach();
  await call.write(attachStart(CONTAINER, from));
  let next = from.stdout ?? 0;
  return await receive(call, async (output) => {
    if (output.case !== "chunk" || output.value.stream !== OutputStream.STDOUT) return;
    assert.equal(Number(output.value.offset), next);
    next += output.value.data.length;
    await call.write(ack(next)).catch(() => undefined);
  });
}

test("an init is joined from an offset that only the log has, and the guest continues without a gap", async () => {
  await using bed = await testBed();
  const process = followed(bed);
  process.writeStdout(6 * MIB);
  await logged(bed, 6 * MIB);
  const joining = join(bed, { stdout: 1000, stderr: 0 });
  process.writeStdout(2 * MIB);
  process.end(0);
  const { stdout, cases, outputs } = await joining;
  assert.ok(stdout.equals(patternBytes(1000, 8 * MIB - 1000)));
  const [started] = outputs;
  assert.ok(started?.case === "started" && started.value.stdoutOffset === 1000n);
  assert.equal(cases.filter((each) => each === "started").length, 1);
  assert.equal(cases.at(-1), "exited");
  assert.deepEqual(bed.bugs, []);
});

test("the output of an init cannot be closed by a client", async () => {
  await using bed = await testBed();
  followed(bed).writeStdout(10);
  const call = bed.streams.attach();
  await call.write(attachStart(CONTAINER, { stdout: 0 }));
  const closing = { case: "outputClose", value: { stream: OutputStream.STDOUT } } as const;
  await call.write({ message: { case: "input", value: { input: closing } } });
  await assert.rejects(
    receive(call),
    (error) => error instanceof PaddockError && error.reason === "INVALID_FIELD",
  );
});

test("a link that breaks during an attach to an init loses no byte", async () => {
  await using bed = await testBed();
  const process = followed(bed);
  process.writeStdout(4 * MIB);
  await logged(bed, 4 * MIB);
  const call = bed.streams.attach();
  await call.write(attachStart(CONTAINER, { stdout: 0 }));
  let next = 0;
  let drops = 0;
  const joining = receive(call, async (output) => {
    if (output.case !== "chunk") return;
    assert.equal(Number(output.value.offset), next);
    next += output.value.data.length;
    if (next > (drops + 1) * MIB) {
      drops += 1;
      bed.fake.dropLink();
      process.writeStdout(MIB / 2);
      if (drops === 6) process.end(0);
    }
    await call.write(ack(next)).catch(() => undefined);
  });
  const { stdout } = await joining;
  assert.ok(drops >= 6);
  assert.ok(stdout.equals(patternBytes(0, 4 * MIB + (drops * MIB) / 2)));
});

test("the error for an offset that was rotated away names the earliest one left", async () => {
  await using bed = await testBed({ log: { maxFileBytes: 65536n, maxFiles: 2 } });
  const process = followed(bed);
  process.writeStdout(2 * MIB);
  await logged(bed, 2 * MIB);
  const error = await join(bed, { stdout: 0 }).catch((thrown: unknown) => thrown);
  assert.ok(error instanceof PaddockError && error.reason === "OFFSET_NOT_HELD", String(error));
  const earliest = Number(error.metadata.earliest_offset);
  assert.ok(earliest > 0 && earliest < 2 * MIB);
  process.end(0);
  const { stdout } = await join(bed, { stdout: earliest });
  assert.ok(stdout.equals(patternBytes(earliest, 2 * MIB - earliest)));
});

test("an offset beyond the output is INVALID_FIELD", async () => {
  await using bed = await testBed();
  const process = followed(bed);
  process.writeStdout(100);
  await logged(bed, 100);
  await assert.rejects(
    join(bed, { stdout: 101 }),
    (error) => error instanceof PaddockError && error.reason === "INVALID_FIELD",
  );
});

test("a wait is answered when the process exits, even across a broken link, and from the record after the VM's end", async () => {
  await using bed = await testBed();
  const process = bed.fake.add(CONTAINER, "e");
  const request = { sandboxId: SANDBOX, containerId: CONTAINER, execId: "e" };
  const waiting = bed.streams.waitProcess(request);
  await (await bed.link.client()).sandbox.getGuest({});
  bed.fake.dropLink();
  process.end(7);
  assert.equal((await waiting).status?.code, 7);
  const init = { sandboxId: SANDBOX, containerId: CONTAINER, execId: CONTAINER };
  bed.fake.add(CONTAINER, CONTAINER);
  const initWaiting = bed.streams.waitProcess(init);
  await (await bed.link.client()).sandbox.getGuest({});
  bed.phase = {
    kind: "stopped",
    cause: "signalled",
    exit: { code: 137, signal: 9, oomKilled: false, exitedAtMs: 5, reason: "" },
    stoppedAtMs: 5,
  };
  bed.link.close(new PaddockError("VM_UNAVAILABLE", "the VM ended"));
  assert.equal((await initWaiting).status?.signal, 9);
  assert.equal((await bed.streams.waitProcess(init)).status?.code, 137);
});
