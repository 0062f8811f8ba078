import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { OutputCursor } from "./output-cursor.ts";
import { StdinWindow } from "./stdin-window.ts";

const never = new AbortController().signal;

test("bytes are held until they are acknowledged and can be had again from any offset in between", async () => {
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

test("a full window stops the source until the process catches up", async () => {
  const source = new PassThrough();
  const window = new StdinWindow(source, 10);
  source.write("0123456789");
  await window.at(0n, never);
  assert.equal(source.isPaused(), true);
  source.write("abc");
  window.acknowledge(10n);
  const piece = await window.at(10n, never);
  assert.ok(piece?.kind === "data" && Buffer.from(piece.data).toString() === "abc");
});

test("waiting for stdin ends when the stream does", async () => {
  const window = new StdinWindow(new PassThrough());
  const closed = new AbortController();
  const waiting = window.at(0n, closed.signal);
  closed.abort();
  assert.equal(await waiting, undefined);
});

test("what was printed before is not printed again, and what is missing is counted", async () => {
  const sink = new PassThrough();
  const printed = sink.toArray();
  const cursor = new OutputCursor(sink);
  assert.equal(await cursor.take(0n, Buffer.from("abc")), 0n);
  assert.equal(await cursor.take(0n, Buffer.from("abc")), 0n);
  assert.equal(await cursor.take(1n, Buffer.from("bcd")), 0n);
  assert.equal(await cursor.take(6n, Buffer.from("gh")), 2n);
  assert.equal(cursor.offset, 8n);
  sink.end();
  assert.equal(Buffer.concat(await printed).toString(), "abcdgh");
});
