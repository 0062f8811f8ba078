import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import { agentpb } from "@paddock/protocol";
import { OutputCheck } from "./process-output.ts";

type Message = NonNullable<MessageInitShape<typeof agentpb.ProcessOutputSchema>["output"]>;
const { STDOUT, STDERR } = agentpb.Stream;

const started = (value: MessageInitShape<typeof agentpb.ProcessStartedSchema> = {}): Message => ({
  case: "started",
  value,
});
const chunk = (offset: bigint, bytes: number, stream: agentpb.Stream = STDOUT): Message => ({
  case: "chunk",
  value: { stream, offset, data: new Uint8Array(bytes) },
});
const eof = (offset: bigint, stream: agentpb.Stream = STDOUT): Message => ({
  case: "eof",
  value: { stream, offset },
});
const gap = (fromOffset: bigint, toOffset: bigint): Message => ({
  case: "gap",
  value: { stream: STDOUT, fromOffset, toOffset },
});
const stdinAck = (offset: bigint): Message => ({ case: "stdinAck", value: { offset } });
const exited = (code: number, signal = 0): Message => ({ case: "exited", value: { code, signal } });

function take(messages: readonly Message[], expected: { stdout?: number; stderr?: number } = {}) {
  const { stdout, stderr } = expected;
  const check = new OutputCheck({ execId: "e", stdout, stderr });
  return messages.map((output) => check.take(create(agentpb.ProcessOutputSchema, { output })));
}

test("adjacent chunks, gaps, ends and an exit are accepted", () => {
  const events = take([
    started({ stdoutOffset: 10n, stdinOffset: 3n }),
    chunk(10n, 65536),
    chunk(0n, 1, STDERR),
    gap(65546n, 70000n),
    chunk(70000n, 5),
    stdinAck(4n),
    eof(70005n),
    eof(1n, STDERR),
    exited(255, 64),
  ]);
  assert.equal(events.at(-1)?.kind, "exited");
});

const wrong: [string, Message[], { stdout?: number }?][] = [
  ["output before `started`", [chunk(0n, 1)]],
  ["a second `started`", [started(), started()]],
  ["a start at another offset than requested", [started({ stdoutOffset: 1n })], { stdout: 0 }],
  ["a chunk that skips bytes", [started(), chunk(0n, 5), chunk(6n, 1)]],
  ["a chunk that repeats bytes", [started(), chunk(0n, 5), chunk(4n, 1)]],
  ["a chunk of another stream's offset", [started(), chunk(0n, 5), chunk(5n, 1, STDERR)]],
  ["an empty chunk", [started(), chunk(0n, 0)]],
  ["a chunk that is too large", [started(), chunk(0n, 65537)]],
  ["a stream that does not exist", [started(), chunk(0n, 1, agentpb.Stream.UNSPECIFIED)]],
  ["a chunk after the end", [started(), eof(0n), chunk(0n, 1)]],
  ["a second end", [started(), eof(0n), eof(0n)]],
  ["an end at another offset", [started(), chunk(0n, 5), eof(6n)]],
  ["a gap of no bytes", [started(), chunk(0n, 5), gap(5n, 5n)]],
  ["a gap that begins at another offset", [started(), gap(1n, 5n)]],
  ["stdin accepted twice", [started({ stdinOffset: 3n }), stdinAck(3n)]],
  ["an offset beyond the safe integers", [started(), gap(0n, 2n ** 60n)]],
  ["an invalid exit code", [started(), exited(256)]],
  ["an invalid signal", [started(), exited(1, -1)]],
  ["a message after the exit", [started(), exited(0), stdinAck(9n)]],
  ["an empty message", [started(), { case: undefined }]],
];

for (const [name, messages, expected] of wrong)
  test(`${name} is the guest's failure`, () => {
    assert.throws(
      () => take(messages, expected),
      (error) => error instanceof PaddockError && error.reason === "GUEST_FAILED",
    );
    take(messages.slice(0, -1));
  });
