import assert from "node:assert/strict";
import { test } from "node:test";
import { OutputStream } from "@paddock/protocol";
import { CONTAINER, SANDBOX, type TestBed, testBed } from "../testing/stream-test-bed.ts";

async function read(bed: TestBed, options: Record<string, unknown> = {}): Promise<string> {
  let text = "";
  const request = { sandboxId: SANDBOX, containerId: CONTAINER, ...options };
  for await (const { data } of bed.streams.readLogs(request)) text += Buffer.from(data).toString();
  return text;
}

test("logs are followed until the container ends, and can be read afterwards", async () => {
  await using bed = await testBed();
  const process = bed.fake.add(CONTAINER, CONTAINER);
  bed.logs.follow(bed.sandbox, CONTAINER);
  process.writeStderr(Buffer.from("one\n"));
  const following = read(bed, { follow: true });
  process.writeStderr(Buffer.from("two\n"));
  process.writeStderr(Buffer.from("three\n"));
  process.end(0);
  assert.equal(await following, "one\ntwo\nthree\n");
  await bed.logs.stop(SANDBOX, CONTAINER);
  assert.equal(await read(bed), "one\ntwo\nthree\n");
  assert.equal(await read(bed, { tailLines: 1 }), "three\n");
  assert.equal(await read(bed, { streams: [OutputStream.STDOUT] }), "");
  assert.deepEqual([bed.bugs, bed.troubles], [[], []]);
});

test("a container that wrote nothing has an empty log", async () => {
  await using bed = await testBed();
  assert.equal(await read(bed, { follow: true }), "");
});

test("a follower ends when its VM ends", async () => {
  await using bed = await testBed();
  bed.fake.add(CONTAINER, CONTAINER).writeStderr(Buffer.from("last words"));
  bed.logs.follow(bed.sandbox, CONTAINER);
  const following = read(bed, { follow: true });
  await using open = await bed.logs.open(bed.sandbox, CONTAINER);
  while (open.log.offsets.stderr === 0) await open.log.changes.next(AbortSignal.timeout(5000));
  await bed.logs.stop(SANDBOX, CONTAINER);
  assert.equal(await following, "last words");
});

test("a removed log does not exist any more, and a new container of the same name has its own log", async () => {
  await using bed = await testBed();
  bed.fake.add(CONTAINER, CONTAINER).writeStderr(Buffer.from("old"));
  bed.logs.follow(bed.sandbox, CONTAINER);
  await using open = await bed.logs.open(bed.sandbox, CONTAINER);
  while (open.log.offsets.stderr === 0) await open.log.changes.next(AbortSignal.timeout(5000));
  await open[Symbol.asyncDispose]();
  await bed.logs.remove(bed.sandbox, CONTAINER);
  assert.equal(await read(bed), "");
});
