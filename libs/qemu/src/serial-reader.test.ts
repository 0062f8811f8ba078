import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { SerialReader } from "./serial-reader.ts";

const scratch = mkdtempSync(join(tmpdir(), "paddock-serial-"));
after(() => rmSync(scratch, { recursive: true, force: true }));
let count = 0;

/** A guest's serial port, and who reads it. */
async function port(bytes: number): Promise<{ guest: Socket; reader: SerialReader; server: Server }> {
  const path = join(scratch, `${++count}.sock`);
  const server = createServer().listen(path);
  await once(server, "listening");
  const connected = once(server, "connection") as Promise<[Socket]>;
  const reader = new SerialReader(path, bytes);
  const [guest] = await connected;
  return { guest, reader, server };
}

for (const [what, chunks, kept] of [
  ["less than is kept", ["ab", "c"], "abc"],
  ["in pieces, more than is kept", ["abcd", "efgh", "ij"], "cdefghij"],
  ["more than is kept at once", ["ab", "cdefghijkl"], "efghijkl"],
] as const) {
  test(`of ${what}, the end is kept when the guest is gone`, async () => {
    const { guest, reader, server } = await port(8);
    for (const chunk of chunks) guest.write(chunk);
    guest.end();
    await reader.drain(5000);
    assert.equal(reader.tail.toString(), kept);
    server.close();
  });
}

test("what a guest said in a flood just before its end is not lost to the pace of reading", async () => {
  const { guest, reader, server } = await port(64);
  for (let line = 0; line < 20_000; line++) guest.write(`line ${line}\n`);
  guest.end("the last words\n");
  await reader.drain(5000);
  assert.match(reader.tail.toString(), /line 19999\nthe last words\n$/);
  server.close();
});

test("a guest that goes on talking is left at the deadline", async () => {
  const { guest, reader, server } = await port(8);
  guest.on("error", () => undefined);
  guest.write("on and on");
  await reader.drain(20);
  guest.destroy();
  server.close();
});

test("a machine without such a socket has an empty tail", async () => {
  const reader = new SerialReader(join(scratch, "none.sock"), 8);
  await reader.drain(5000);
  assert.equal(reader.tail.length, 0);
});
