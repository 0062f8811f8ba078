import assert from "node:assert/strict";
import { test } from "node:test";
import { PaddockError } from "@paddock/domain";
import { agentpb } from "@paddock/protocol";
import fc from "fast-check";
import { type InputMessage, ProcessInputs } from "./process-inputs.ts";

const MIB = 1024 * 1024;

/** All messages that would be sent now. */
async function sent(inputs: ProcessInputs): Promise<InputMessage["input"][]> {
  const ending = new AbortController();
  const messages: InputMessage["input"][] = [];
  const reading = (async () => {
    for await (const { input } of inputs.messages(ending.signal)) messages.push(input);
  })();
  await new Promise((resolve) => setImmediate(resolve));
  ending.abort();
  await reading;
  return messages;
}

const stdinOf = (messages: readonly InputMessage["input"][]): Buffer =>
  Buffer.concat(messages.flatMap((each) => (each.case === "stdin" ? (each.value.data ?? []) : [])));

test("stdin waits until the guest has said at which offset it continues", async () => {
  const inputs = new ProcessInputs();
  inputs.begin(0);
  inputs.suspend();
  inputs.stdin(undefined, Buffer.from("abc"));
  inputs.ack({ stdout: 1, stderr: 2 });
  assert.deepEqual(
    (await sent(inputs)).map((each) => each.case),
    ["ack"],
  );
  inputs.resume(1);
  assert.equal(stdinOf(await sent(inputs)).toString(), "bc");
});

test("at most one window of stdin is in flight, and acknowledgements, sizes and signals do not wait behind it", async () => {
  const inputs = new ProcessInputs();
  inputs.begin(0);
  inputs.stdin(undefined, Buffer.alloc(1.5 * MIB));
  assert.equal(stdinOf(await sent(inputs)).length, MIB);
  inputs.signal(2);
  inputs.signal(2);
  inputs.resize({ rows: 1, columns: 1 });
  inputs.resize({ rows: 2, columns: 2 });
  inputs.ack({ stdout: 5, stderr: 0 });
  inputs.ack({ stdout: 6, stderr: 0 });
  inputs.endStdin();
  assert.deepEqual(await sent(inputs), [
    { case: "ack", value: { stdoutOffset: 6n, stderrOffset: 0n } },
    { case: "resize", value: { rows: 2, columns: 2 } },
    { case: "signal", value: 2 },
  ]);
  inputs.stdinAccepted(MIB);
  const rest = await sent(inputs);
  assert.equal(stdinOf(rest).length, 0.5 * MIB);
  assert.deepEqual(rest.at(-1), { case: "stdinEof", value: { offset: BigInt(1.5 * MIB) } });
});

test("a closed output is sent once on each connection", async () => {
  const inputs = new ProcessInputs();
  inputs.begin(0);
  inputs.closeOutput("stderr");
  inputs.closeOutput("stderr");
  const told = [{ case: "outputClose", value: { stream: agentpb.Stream.STDERR } }];
  assert.deepEqual(await sent(inputs), told);
  assert.deepEqual(await sent(inputs), []);
  inputs.suspend();
  inputs.resume(0);
  assert.deepEqual(await sent(inputs), told, "the previous connection may have lost it");
});

test("a client that adds too much stdin waits until the guest has accepted some, or until it leaves", async () => {
  const inputs = new ProcessInputs();
  const leaving = new AbortController();
  inputs.begin(0);
  inputs.stdin(undefined, Buffer.alloc(2 * MIB));
  let waited = false;
  const room = inputs.room(leaving.signal).then(() => {
    waited = true;
  });
  await sent(inputs);
  assert.equal(waited, false);
  inputs.stdinAccepted(1);
  await room;
  inputs.stdin(undefined, Buffer.alloc(1));
  const again = inputs.room(leaving.signal);
  leaving.abort(new Error("left"));
  await assert.rejects(again, /left/);
});

test("bytes that were added before are ignored, a gap and bytes after the end are refused", async () => {
  const inputs = new ProcessInputs();
  inputs.begin(10);
  inputs.stdin(10, Buffer.from("abc"));
  inputs.stdin(8, Buffer.from("xxabcd"));
  assert.equal(stdinOf(await sent(inputs)).toString(), "abcd");
  const refused = (wanted: string) => (error: unknown) =>
    error instanceof PaddockError && error.reason === wanted;
  assert.throws(() => inputs.stdin(15, Buffer.from("x")), refused("STDIN_GAP"));
  inputs.endStdin();
  assert.throws(() => inputs.stdin(undefined, Buffer.from("x")), refused("INVALID_FIELD"));
});

test("the guest gets each byte once, in order, and one end, wherever connections break", async () => {
  const pieces = fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 20 });
  // Each entry: how many of the sent bytes the guest accepts before the connection breaks.
  const breaks = fc.array(fc.nat(200), { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(pieces, breaks, async (all, taken) => {
      const inputs = new ProcessInputs();
      inputs.begin(0);
      for (const piece of all) inputs.stdin(undefined, piece);
      inputs.endStdin();
      const whole = Buffer.concat(all);
      let got = Buffer.alloc(0);
      for (const bytes of taken) {
        const part = stdinOf(await sent(inputs)).subarray(0, bytes);
        got = Buffer.concat([got, part]);
        inputs.suspend();
        inputs.resume(got.length);
      }
      const last = await sent(inputs);
      assert.ok(Buffer.concat([got, stdinOf(last)]).equals(whole));
      assert.equal(last.filter((each) => each.case === "stdinEof").length, 1);
    }),
    { numRuns: 60 },
  );
});

test("one-byte messages for a slow guest are merged into as few messages as large ones", async () => {
  const inputs = new ProcessInputs();
  inputs.begin(0);
  for (let count = 0; count < MIB; count += 1) inputs.stdin(undefined, Uint8Array.of(count & 0xff));
  const messages = await sent(inputs);
  assert.ok(messages.length < 40, `${messages.length} messages`);
  const whole = stdinOf(messages);
  assert.equal(whole.length, MIB);
  assert.ok(whole.every((byte, index) => byte === (index & 0xff)));
});
