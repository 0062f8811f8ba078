import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ByteQueue } from "./byte-queue.ts";

test("a million pieces of one byte are kept in a few blocks, and read in a few", () => {
  const buffer = new ByteQueue();
  const piece = Uint8Array.of(7);
  for (let count = 0; count < 1_000_000; count += 1) buffer.append(piece);
  assert.ok(buffer.blocks <= 24, `${buffer.blocks} blocks`);
  let reads = 0;
  for (let at = 0; at < buffer.end; reads += 1) at += buffer.read(at, 1024 * 1024).length;
  assert.equal(reads, buffer.blocks);
  buffer.release(buffer.end);
  assert.equal(buffer.blocks, 0);
});

test("a few remaining bytes do not keep a large message in memory", () => {
  const buffer = new ByteQueue();
  buffer.append(new Uint8Array(4 * 1024 * 1024).subarray(0, 1));
  assert.ok(buffer.read(0, 1).buffer.byteLength <= 4096);
});

test("each offset keeps its byte while bytes are added, released and read again", () => {
  const byteAt = (offset: number) => (offset * 31) & 0xff;
  const step = fc.record({ add: fc.nat(9000), release: fc.nat(9000), back: fc.nat(9000) });
  fc.assert(
    fc.property(fc.nat(100), fc.array(step, { maxLength: 60 }), (start, steps) => {
      const buffer = new ByteQueue();
      buffer.release(start);
      let released = start;
      for (const { add, release, back } of steps) {
        const from = buffer.end;
        buffer.append(Uint8Array.from({ length: add }, (_, index) => byteAt(from + index)));
        released = Math.min(released + release, buffer.end);
        buffer.release(released);
        for (let at = Math.max(released, buffer.end - back); at < buffer.end; ) {
          const bytes = buffer.read(at, 5000);
          assert.ok(bytes.length > 0 && bytes.length <= 5000);
          for (const [index, byte] of bytes.entries()) assert.equal(byte, byteAt(at + index));
          at += bytes.length;
        }
        assert.equal(buffer.read(buffer.end, 10).length, 0);
      }
    }),
    { numRuns: 200 },
  );
});
