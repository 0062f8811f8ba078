/** Random data from a guest: each reader accepts it, or ends the guest's stream with an error of the domain. */
import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { create, fromBinary } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import { agentpb } from "@paddock/protocol";
import fc from "fast-check";
import { EVIDENCE_BYTES, serialText } from "../vm/serial-text.ts";
import { guestText } from "./guest-text.ts";
import { shakeHands } from "./handshake.ts";
import { OutputCheck } from "./process-output.ts";

const RUNS = { numRuns: Number(process.env.PADDOCK_FUZZ_RUNS ?? 300) };

const bytes = fc.uint8Array({ maxLength: 600 });
const offset = fc.oneof(fc.bigInt({ min: 0n, max: 9n }), fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }));
const stream = fc.constantFrom<number>(
  agentpb.Stream.STDOUT,
  agentpb.Stream.STDERR,
  agentpb.Stream.UNSPECIFIED,
  99,
);

const output = fc.oneof(
  fc.record({
    case: fc.constant("started" as const),
    value: fc.record({ execId: fc.constantFrom("e", "x"), pid: fc.nat() }),
  }),
  fc.record({ case: fc.constant("chunk" as const), value: fc.record({ stream, offset, data: bytes }) }),
  fc.record({
    case: fc.constant("gap" as const),
    value: fc.record({ stream, fromOffset: offset, toOffset: offset }),
  }),
  fc.record({ case: fc.constant("eof" as const), value: fc.record({ stream, offset }) }),
  fc.record({ case: fc.constant("stdinAck" as const), value: fc.record({ offset }) }),
  fc.record({
    case: fc.constant("exited" as const),
    value: fc.record({ code: fc.integer({ min: 0, max: 255 }) }),
  }),
);

test("any output of a console becomes a bounded number of lines of printable characters", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: EVIDENCE_BYTES + 600 }), (said) => {
      const text = serialText(said);
      assert.match(text, /^[\n\t\x20-\x7e]*$/);
      assert.ok(text.length <= EVIDENCE_BYTES);
    }),
    RUNS,
  );
});

test("any text of a guest becomes one line without control characters", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 2000 }), (said) => {
      const text = guestText(said);
      assert.doesNotMatch(text, /[\p{Cc}\u2028\u2029\u202e]/u);
      assert.ok(text.length <= 513 && text.isWellFormed());
    }),
    RUNS,
  );
});

test("for any messages of a guest, the output of a process has no holes or the stream ends", () => {
  fc.assert(
    fc.property(fc.array(output, { maxLength: 20 }), (said) => {
      const check = new OutputCheck({ execId: "e", stdout: undefined, stderr: undefined });
      const next = new Map<string, number>();
      try {
        for (const each of said) {
          const event = check.take(create(agentpb.ProcessOutputSchema, { output: each }));
          if (event.kind !== "chunk") continue;
          assert.ok(Number.isSafeInteger(event.offset) && event.offset >= (next.get(event.stream) ?? 0));
          next.set(event.stream, event.offset + event.data.length);
        }
      } catch (error) {
        if (error instanceof PaddockError && error.reason === "GUEST_FAILED") return;
        throw error;
      }
    }),
    RUNS,
  );
});

test("bytes that are not a message are refused", () => {
  fc.assert(
    fc.property(bytes, (said) => {
      try {
        fromBinary(agentpb.ProcessOutputSchema, said);
      } catch (error) {
        assert.ok(error instanceof Error);
      }
    }),
    RUNS,
  );
});

/** A port whose guest sends `before`, in pieces of that size, READY to the first HELLO, and then `behind`. */
function port(before: Uint8Array, pieceBytes: number, behind: Uint8Array): Socket {
  const socket = new Duplex({
    read: () => undefined,
    write: (chunk: Buffer, _, done) => {
      const nonce = /^PADDOCK\/1 HELLO ([0-9a-f]{32})\n$/.exec(chunk.toString("latin1"))?.[1];
      const said = Buffer.concat([before, Buffer.from(`PADDOCK/1 READY ${nonce}\n`), behind]);
      for (let at = 0; at < said.length; at += pieceBytes) socket.push(said.subarray(at, at + pieceBytes));
      done();
    },
  });
  return socket as unknown as Socket;
}

test("any bytes of an older connection before READY are discarded, and those after it stay", async () => {
  const left = fc.oneof(
    bytes,
    fc.constant(Buffer.from(`PADDOCK/1 READY ${"0".repeat(32)}\nPADDOCK/1 READY `)),
  );
  await fc.assert(
    fc.asyncProperty(left, fc.integer({ min: 1, max: 700 }), bytes, async (before, pieceBytes, behind) => {
      const socket = port(before, pieceBytes, behind);
      await shakeHands(socket, { signal: AbortSignal.timeout(10_000) });
      socket.push(null);
      const rest: Buffer[] = [];
      for await (const chunk of socket) rest.push(chunk);
      assert.deepEqual(Buffer.concat(rest), Buffer.from(behind));
    }),
    RUNS,
  );
});
