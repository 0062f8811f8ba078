import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { PaddockError } from "@paddock/domain";
import { CopyFormat, type CopyToStart, FileType } from "@paddock/protocol";
import { seededRandom } from "../../../../test/harness/seeded-random.ts";
import { FakeTransfers } from "../testing/fake-transfers.ts";
import { SERVED, type ServedClient } from "../testing/served-client.ts";
import { type DownloadOptions, download } from "./download.ts";
import { type UploadOptions, upload } from "./upload.ts";

const MIB = 1024 * 1024;
const address = { sandboxId: "web", containerId: "main", path: "/data/file" };
const sha256 = () => createHash("sha256");
const sum = (bytes: Uint8Array) => sha256().update(bytes).digest();

/** Bytes in which each piece of four is different. */
const pattern = (size: number): Buffer =>
  Buffer.from(
    Uint32Array.from({ length: Math.ceil(size / 4) }, (_, index) => (index * 2_654_435_761) >>> 0).buffer,
    0,
    size,
  );

const file = { name: "file", type: FileType.REGULAR };

const reader = (bytes: Uint8Array, end = {}) => new FakeTransfers(sum, () => ({ file, bytes, end }));

async function downloaded({ client }: ServedClient, options: Partial<DownloadOptions> = {}) {
  const pieces: Uint8Array[] = [];
  const bytes = download({
    client,
    source: address,
    format: CopyFormat.FILE,
    sha256: sha256(),
    ...options,
  });
  for (;;) {
    const next = await bytes.next();
    if (next.done) return { bytes: Buffer.concat(pieces), end: next.value };
    pieces.push(next.value);
  }
}

async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const uploaded = (
  { client }: ServedClient,
  options: Pick<UploadOptions, "source"> & Partial<UploadOptions>,
) => upload({ client, destination: address, format: CopyFormat.FILE, sha256: sha256(), ...options });

for (const [place, serve] of Object.entries(SERVED)) {
  describe(`a download ${place}`, () => {
    test("gives the bytes, the file and the summary, and reports its progress", async () => {
      await using served = await serve();
      const content = pattern(MIB + 5);
      reader(content, { entries: 7n }).serve(served.api);
      const seen: unknown[] = [];
      let progress = 0n;
      const { bytes, end } = await downloaded(served, {
        onStarted: ({ name }) => seen.push(name),
        onProgress: (count) => {
          progress = count;
        },
      });
      assert.ok(bytes.equals(content));
      assert.deepEqual([end.entries, seen, progress], [7n, ["file"], BigInt(content.length)]);
    });

    for (const seed of [1, 2, 3, 4])
      test(`is continued where it broke, at random offsets of seed ${seed}`, async () => {
        await using served = await serve();
        const random = seededRandom(seed);
        const content = pattern(2 * MIB);
        const transfers = reader(content).serve(served.api);
        const breaks = Array.from({ length: 4 }, () => Math.floor(random.next() * content.length));
        transfers.chunkBytes = () => 1 + Math.floor(random.next() * 300_000);
        transfers.onChunk = (end) => {
          const broken = breaks.findIndex((at) => at <= end);
          if (broken === -1) return;
          breaks.splice(broken, 1);
          served.api.cut();
        };
        const notices: string[] = [];
        const { bytes } = await downloaded(served, { onNotice: (notice) => notices.push(notice) });
        assert.ok(bytes.equals(content));
        assert.ok(notices.includes("connection_lost") && notices.at(-1) === "connected_again", `${notices}`);
      });

    test("says that it cannot be continued when the guest has forgotten it", async () => {
      await using served = await serve();
      const transfers = reader(Buffer.alloc(8 * MIB)).serve(served.api);
      const onProgress = (bytes: bigint) => {
        if (bytes < MIB) return;
        transfers.forget();
        served.api.cut();
      };
      await assert.rejects(downloaded(served, { onProgress }), {
        reason: "TRANSFER_NOT_FOUND",
        message: /^the transfer broke after \d+ bytes and cannot be continued$/,
        hint: "start the copy again",
      });
    });

    test("fails when the bytes are not those of the guest, or a chunk is missing", async () => {
      await using served = await serve();
      reader(pattern(100), { sha256: Buffer.alloc(32) }).serve(served.api);
      await assert.rejects(downloaded(served), { reason: "DIGEST_MISMATCH", message: /SHA-256/ });
      await using other = await serve();
      reader(pattern(100), { totalBytes: 101n }).serve(other.api);
      await assert.rejects(downloaded(other), { message: "100 bytes were transferred, and 101 expected" });
    });

    test("fails with the error of the guest", async () => {
      await using served = await serve();
      new FakeTransfers(sum).serve(served.api);
      await assert.rejects(downloaded(served), { reason: "FILE_NOT_FOUND", message: "no such file" });
    });

    test("slows the guest down when its reader is slow", async () => {
      await using served = await serve();
      const transfers = reader(Buffer.alloc(64 * MIB)).serve(served.api);
      let sent = 0;
      transfers.onChunk = (end) => {
        sent = end;
      };
      const { client } = served;
      const options = { client, source: address, format: CopyFormat.FILE, sha256: sha256() };
      let taken = 0;
      let mostAhead = 0;
      for await (const piece of download(options)) {
        taken += piece.length;
        // Time for the guest to send as much as it may.
        for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
        mostAhead = Math.max(mostAhead, sent - taken);
        if (taken >= 4 * MIB) break;
      }
      assert.ok(mostAhead < 16 * MIB, `${mostAhead} bytes were sent ahead`);
    });

    test("ends with its signal", async () => {
      await using served = await serve();
      const transfers = reader(Buffer.alloc(4 * MIB)).serve(served.api);
      const stop = new AbortController();
      transfers.onChunk = (end) => {
        if (end > 2 * MIB) stop.abort();
      };
      await assert.rejects(downloaded(served, { signal: stop.signal }), PaddockError);
      assert.equal(served.api.calls.length, 1);
    });
  });

  describe(`an upload ${place}`, () => {
    const receiver = (api: ServedClient["api"]) => {
      const received: { start?: CopyToStart; bytes?: Buffer } = {};
      const transfers = new FakeTransfers(sum).serve(api);
      transfers.write = (start, bytes) => {
        Object.assign(received, { start, bytes });
        return { entries: 3n };
      };
      return { received, transfers };
    };

    test("writes the bytes, at most 1 MiB beyond what the guest has taken", async () => {
      await using served = await serve();
      const { received, transfers } = receiver(served.api);
      const content = pattern(3 * MIB + 17);
      let progress = 0n;
      const end = await uploaded(served, {
        source: inPieces(content, 700_001),
        mode: 0o600,
        owner: { uid: 5, gid: 6 },
        onProgress: (count) => {
          progress = count;
        },
      });
      assert.ok(received.bytes?.equals(content));
      assert.deepEqual([end.entries, progress], [3n, BigInt(content.length)]);
      assert.deepEqual([received.start?.mode, received.start?.owner?.uid], [0o600, 5]);
      assert.ok(transfers.mostUnacknowledged <= MIB, `${transfers.mostUnacknowledged}`);
    });

    for (const seed of [1, 2, 3, 4])
      test(`is continued where it broke, at random offsets of seed ${seed}`, async () => {
        await using served = await serve();
        const random = seededRandom(seed);
        const content = pattern(2 * MIB);
        const { received, transfers } = receiver(served.api);
        const breaks = Array.from({ length: 4 }, () => Math.floor(random.next() * content.length));
        transfers.onChunk = (end) => {
          const broken = breaks.findIndex((at) => at <= end);
          if (broken === -1) return;
          breaks.splice(broken, 1);
          served.api.cut();
        };
        await uploaded(served, { source: inPieces(content, 1 + Math.floor(random.next() * 400_000)) });
        assert.ok(received.bytes?.equals(content));
        assert.equal(new Set(transfers.ids).size, 1);
      });

    test("is sent once, whether or not the start whose answer was lost had arrived", async () => {
      for (const isForgotten of [false, true]) {
        await using served = await serve();
        const { received, transfers } = receiver(served.api);
        let starts = 0;
        transfers.onStart = () => {
          starts += 1;
          if (starts > 1) return;
          if (isForgotten) transfers.forget();
          served.api.cut();
        };
        await uploaded(served, { source: inPieces(pattern(100), 100) });
        assert.ok(received.bytes?.equals(pattern(100)));
        assert.equal(new Set(transfers.ids).size, isForgotten ? 2 : 1);
      }
    });

    test("says that it cannot be continued when the guest has forgotten it", async () => {
      await using served = await serve();
      const { transfers } = receiver(served.api);
      transfers.onChunk = (end) => {
        if (end < MIB / 2) return;
        transfers.forget();
        served.api.cut();
      };
      await assert.rejects(uploaded(served, { source: inPieces(pattern(MIB), 100_000) }), {
        reason: "TRANSFER_NOT_FOUND",
      });
    });

    test("reads its source no further than 1 MiB ahead of a guest that takes nothing", async () => {
      await using served = await serve();
      const { transfers } = receiver(served.api);
      const stop = new AbortController();
      transfers.takes = () => new Promise(() => {});
      let read = 0;
      const source = async function* () {
        for (;;) {
          read += 100_000;
          yield pattern(100_000);
        }
      };
      transfers.onChunk = () => setTimeout(() => stop.abort(), 50);
      await assert.rejects(uploaded(served, { source: source(), signal: stop.signal }), PaddockError);
      assert.ok(read <= MIB + 200_000, `${read} bytes were read`);
    });

    test("fails with the error of its source, and the guest keeps nothing", async () => {
      await using served = await serve();
      const { received } = receiver(served.api);
      const source = async function* () {
        yield pattern(1000);
        throw new Error("the disk is gone");
      };
      await assert.rejects(uploaded(served, { source: source() }), /the disk is gone/);
      assert.equal(received.bytes, undefined);
      assert.equal(served.api.calls.length, 1);
    });

    test("fails when the guest's digest is another", async () => {
      await using served = await serve();
      const { transfers } = receiver(served.api);
      transfers.write = () => ({ sha256: Buffer.alloc(32) });
      const failed = uploaded(served, { source: inPieces(pattern(10), 10) });
      await assert.rejects(failed, { reason: "DIGEST_MISMATCH" });
    });
  });
}
