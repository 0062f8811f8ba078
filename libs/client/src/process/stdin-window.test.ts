import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { OutputCursor } from "./output-cursor.ts";
import { StdinWindow } from "./stdin-window.ts";

const never = new AbortController().signal;

test("bytes are kept until they are acknowledged and can be read again from any offset in between", async () => {
  const source = new PassThrough();
  const window = new StdinWindow(source);
  source.end("0123456789");
  const read = async (offset: bigint) => {
    const piece = await window.at(offset, never);
    return piece?.kind === "data" ? Buffer.from(piece.data).toString() : piece?.kind;
  };
  assert.equal(await read(0n), "0123456789");
  assert.equal(await read(4n), "456789");
  assert.equal(await read(10n), "eof");
  window.acknowledge(10n);
  assert.equal(window.size, 0);
});

test("a full window does not read its source until the process catches up", async () => {
  let reads = 0;
  const pieces = ["0123456789", "abc", "d"];
  const source = {
    [Symbol.asyncIterator]: () => ({
      next: async () => {
        const piece = pieces[reads];
        reads += 1;
        return piece === undefined
          ? { done: true as const, value: undefined }
          : { done: false as const, value: Buffer.from(piece) };
      },
    }),
  };
  const window = new StdinWindow(source, 10);
  await window.at(0n, never);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(reads, 1);
  window.acknowledge(10n);
  const piece = await window.at(10n, never);
  assert.ok(piece?.kind === "data" && Buffer.from(piece.data).toString() === "abc");
});

test("a source that fails ends stdin", async () => {
  const failing = async function* (): AsyncGenerator<Uint8Array> {
    yield Buffer.from("a");
    throw new Error("the terminal is gone");
  };
  const window = new StdinWindow(failing());
  assert.equal((await window.at(0n, never))?.kind, "data");
  assert.equal((await window.at(1n, never))?.kind, "eof");
});

test("waiting for stdin ends when the stream does", async () => {
  const window = new StdinWindow(new PassThrough());
  const closed = new AbortController();
  const waiting = window.at(0n, closed.signal);
  closed.abort();
  assert.equal(await waiting, undefined);
});

test("bytes that were written are not written again, and missing ones are counted", async () => {
  const printed: Uint8Array[] = [];
  const cursor = new OutputCursor(async (data) => void printed.push(data));
  assert.equal(await cursor.take(0n, Buffer.from("abc")), 0n);
  assert.equal(await cursor.take(0n, Buffer.from("abc")), 0n);
  assert.equal(await cursor.take(1n, Buffer.from("bcd")), 0n);
  assert.equal(await cursor.take(6n, Buffer.from("gh")), 2n);
  assert.equal(cursor.offset, 8n);
  assert.equal(Buffer.concat(printed).toString(), "abcdgh");
});
