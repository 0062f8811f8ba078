import assert from "node:assert/strict";
import { test } from "node:test";
import { PaddockError } from "@paddock/domain";
import { packTar } from "@paddock/images";
import { ImageFormat, ImportPhase } from "@paddock/protocol";
import { type TestBed, testBed } from "../testing/stream-test-bed.ts";

const file = (path: string, content: Buffer) => ({
  path,
  type: "file" as const,
  mode: 0o644,
  uid: 0,
  gid: 0,
  mtime: 0,
  size: content.length,
  content,
});

const archive = async (...entries: ReturnType<typeof file>[]) =>
  Buffer.concat(await Array.fromAsync(packTar(entries)));

async function sendAll(bed: TestBed, bytes: Buffer, name = "test:1") {
  const call = bed.streams.importImage();
  const start = {
    name,
    format: ImageFormat.ROOTFS,
    config: { command: ["/bin/x"] },
    totalBytes: BigInt(bytes.length),
  };
  await call.write({ message: { case: "start", value: start } });
  const sending = (async () => {
    for (let at = 0; at < bytes.length; at += 200_000) {
      const value = bytes.subarray(at, at + 200_000);
      await call.write({ message: { case: "data", value } });
    }
    call.end();
  })();
  sending.catch(() => undefined);
  return await Array.fromAsync(call);
}

const send = async (...args: Parameters<typeof sendAll>) =>
  (await sendAll(...args)).map(({ message }) => message);

test("an archive is imported as an image, with progress, and a second import returns the same image", async () => {
  await using bed = await testBed();
  const bytes = await archive(file("bin/x", Buffer.alloc(3_000_000, 7)));
  const messages = await send(bed, bytes);
  const last = messages.at(-1);
  assert.ok(last?.case === "image");
  assert.deepEqual(last.value.names, ["test:1"]);
  assert.deepEqual(last.value.nodeIds, ["n1"]);
  assert.deepEqual(last.value.config?.command, ["/bin/x"]);
  const progress = messages.slice(0, -1);
  assert.ok(progress.length > 0);
  for (const message of progress) {
    assert.ok(message?.case === "progress");
    assert.notEqual(message.value.phase, ImportPhase.UNSPECIFIED);
  }
  const again = (await send(bed, bytes)).at(-1);
  assert.ok(again?.case === "image" && again.value.imageId === last.value.imageId);
  assert.deepEqual(bed.bugs, []);
});

test("warnings about an image are sent with the image", async () => {
  await using bed = await testBed();
  const root = { ...file("./", Buffer.alloc(0)), type: "directory" as const, mode: 0o700 };
  const bytes = Buffer.concat(await Array.fromAsync(packTar([root, file("bin/x", Buffer.alloc(5))])));
  const responses = await sendAll(bed, bytes, "odd:1");
  assert.match(responses.at(-1)?.warnings.join() ?? "", /mode 0700: only root can read "\/"/);
  assert.deepEqual(bed.bugs, []);
});

test("an archive that the store refuses fails with its reason", async () => {
  await using bed = await testBed();
  const wanted = (reason: string) => (error: unknown) =>
    error instanceof PaddockError && error.reason === reason;
  const bytes = await archive(file("a", Buffer.alloc(5000)));
  await assert.rejects(send(bed, bytes.subarray(0, 2000)), wanted("INVALID_ARCHIVE"));
  await assert.rejects(send(bed, bytes, "UPPER CASE"), wanted("INVALID_FIELD"));
  await assert.rejects(send(bed, await archive(file("../a", Buffer.alloc(5)))), wanted("UNSAFE_PATH"));
  assert.deepEqual(bed.bugs, []);
});

test("a client that leaves during an import leaves nothing behind", async () => {
  await using bed = await testBed();
  const before = (await bed.images.list()).length;
  const call = bed.streams.importImage();
  await call.write({ message: { case: "start", value: { format: ImageFormat.ROOTFS } } });
  const receiving = Array.fromAsync(call);
  await call.write({ message: { case: "data", value: new Uint8Array(100_000) } });
  call.cancel();
  await assert.rejects(receiving, (error) => error instanceof PaddockError && error.reason === "CANCELLED");
  assert.equal((await bed.images.list()).length, before);
  assert.deepEqual(bed.bugs, []);
});
