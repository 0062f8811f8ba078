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

/** A guest's serial port and its reader. */
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
  ["less output than the limit", ["ab", "c"], "abc"],
  ["more output than the limit, in pieces", ["abcd", "efgh", "ij"], "cdefghij"],
  ["more output than the limit, at once", ["ab", "cdefghijkl"], "efghijkl"],
] as const) {
  test(`with ${what}, the end is kept after the guest is gone`, async () => {
    const { guest, reader, server } = await port(8);
    for (const chunk of chunks) guest.write(chunk);
    guest.end();
    await reader.drain(5000);
    assert.equal(reader.tail.toString(), kept);
    server.close();
  });
}

test("output of a flood just before the guest ends is not lost to the pace of reading", async () => {
  const { guest, reader, server } = await port(64);
  for (let line = 0; line < 20_000; line++) guest.write(`line ${line}\n`);
  guest.end("the last words\n");
  await reader.drain(5000);
  assert.match(reader.tail.toString(), /line 19999\nthe last words\n$/);
  server.close();
});

test("drain stops at the deadline when the guest keeps writing", async () => {
  const { guest, reader, server } = await port(8);
  guest.on("error", () => undefined);
  guest.write("on and on");
  await reader.drain(20);
  guest.destroy();
  server.close();
});

test("without a socket the tail is empty", async () => {
  const reader = new SerialReader(join(scratch, "none.sock"), 8);
  await reader.drain(5000);
  assert.equal(reader.tail.length, 0);
});
