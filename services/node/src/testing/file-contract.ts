/** The contract of every guest for files: the real agent's, and the fake one. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { CopyFormat, FileChangeKind, FileType } from "@paddock/protocol";
import { patternBytes } from "./fake-process.ts";
import { copyIn, copyOut, type FileCalls, sha256 } from "./file-copies.ts";

export type FileFixture = AsyncDisposable & {
  readonly files: FileCalls;
  /** A container with an empty directory /contract. */
  readonly at: { readonly sandboxId: string; readonly containerId: string };
  /** Breaks all streams. Later ones work. */
  cut(): Promise<void>;
};

const MIB = 1024 * 1024;

/** Declares the tests. */
export function fileContract(name: string, make: () => Promise<FileFixture>): void {
  describe(name, () => {
    let fixture: FileFixture;
    before(async () => {
      fixture = await make();
    });
    after(async () => await fixture?.[Symbol.asyncDispose]());

    const file = (path: string) => ({ ...fixture.at, path: `/contract/${path}`, format: CopyFormat.FILE });
    const id = () => ({ requestId: randomUUID() });
    const put = (path: string, data: Buffer, mode = 0) =>
      copyIn(fixture.files, { ...file(path), transferId: randomUUID(), mode }, data);

    test("directories are made, listed page by page, and removed with their content only on request", async () => {
      const { files, at } = fixture;
      const path = "/contract/a";
      await files.makeDirectory({ ...id(), ...at, path: `${path}/b/c`, parents: true, mode: 0o700 });
      await files.makeDirectory({ ...id(), ...at, path: `${path}/b/c`, parents: true });
      await assert.rejects(files.makeDirectory({ ...id(), ...at, path }), { reason: "FILE_REFUSED" });
      await assert.rejects(files.makeDirectory({ ...id(), ...at, path: `${path}/x/y` }), {
        reason: "FILE_NOT_FOUND",
      });
      const { file: made } = await files.statFile({ ...at, path: `${path}/b/c` });
      assert.deepEqual([made?.name, made?.type, made?.mode], ["c", FileType.DIRECTORY, 0o700]);
      for (const each of ["d", "e"]) await files.makeDirectory({ ...id(), ...at, path: `${path}/${each}` });
      const names: string[] = [];
      for (let pageToken = ""; ; ) {
        const page = await files.listFiles({ ...at, path, pageSize: 2, pageToken });
        assert.ok(page.files.length <= 2);
        names.push(...page.files.map((each) => each.name));
        pageToken = page.nextPageToken;
        if (pageToken === "") break;
      }
      assert.deepEqual(names.toSorted(), ["b", "d", "e"]);
      await assert.rejects(files.removeFile({ ...id(), ...at, path }), { reason: "FILE_REFUSED" });
      await files.removeFile({ ...id(), ...at, path, recursive: true });
      await assert.rejects(files.statFile({ ...at, path }), { reason: "FILE_NOT_FOUND" });
      await assert.rejects(files.removeFile({ ...id(), ...at, path }), { reason: "FILE_NOT_FOUND" });
    });

    test("a file is written and read back byte by byte, empty or of several windows, and keeps its mode", async () => {
      for (const [index, data] of [patternBytes(0, 3 * MIB + 1), Buffer.alloc(0)].entries()) {
        const written = await put(`f${index}`, data, 0o4750);
        assert.deepEqual(
          [written.totalBytes, Buffer.from(written.sha256)],
          [BigInt(data.length), sha256(data)],
        );
        await put(`f${index}`, data);
        const read = await copyOut(fixture.files, { ...file(`f${index}`), transferId: randomUUID() });
        assert.ok(read.bytes.equals(data));
        assert.deepEqual(Buffer.from(read.end.sha256), sha256(data));
        assert.deepEqual([read.file.name, read.file.mode], [`f${index}`, 0o4750]);
        assert.equal(read.file.sizeBytes, BigInt(data.length));
      }
    });

    test("a part of a file is read without a transfer id", async () => {
      const data = patternBytes(7, 300_000);
      await put("part", data);
      const { bytes, end } = await copyOut(fixture.files, { ...file("part"), offset: 200_000n });
      assert.ok(bytes.equals(data.subarray(200_000)));
      assert.deepEqual([end.totalBytes, Buffer.from(end.sha256)], [300_000n, sha256(data.subarray(200_000))]);
    });

    test("a broken write continues where the guest stopped, and a broken read after the last byte that arrived", async () => {
      const { files } = fixture;
      // More than fits in the buffers between the guest and a client.
      const data = patternBytes(3, 16 * MIB);
      const start = { ...file("resumed"), transferId: randomUUID() };
      let cut: Promise<void> | undefined;
      const onTaken = (taken: number) => {
        if (taken >= 2 * MIB) cut ??= fixture.cut();
      };
      await assert.rejects(copyIn(files, start, data, { onTaken }));
      await cut;
      await assert.rejects(files.statFile(file("resumed")), { reason: "FILE_NOT_FOUND" });
      const offsets: number[] = [];
      await copyIn(files, { ...start, resume: true }, data, { onTaken: (taken) => offsets.push(taken) });
      assert.ok((offsets[0] ?? 0) >= 2 * MIB, `continued at ${offsets[0]}`);
      const pieces: Uint8Array[] = [];
      const request = { ...file("resumed"), transferId: randomUUID() };
      await assert.rejects(async () => {
        for await (const { message } of files.copyFrom(request)) {
          if (message.case === "chunk") pieces.push(message.value.data);
          if (pieces.length === 1) await fixture.cut();
        }
      });
      const offset = BigInt(pieces.reduce((sum, each) => sum + each.length, 0));
      const { bytes, end } = await copyOut(files, { ...request, offset });
      assert.ok(Buffer.concat([...pieces, bytes]).equals(data));
      assert.deepEqual(Buffer.from(end.sha256), sha256(data));
    });

    test("a wrong digest changes nothing, and what does not exist has a reason of its own", async () => {
      const { files } = fixture;
      await put("kept", Buffer.from("kept"));
      const start = { ...file("kept"), transferId: randomUUID() };
      const wrong = copyIn(files, start, Buffer.from("other"), { digest: Buffer.alloc(32) });
      await assert.rejects(wrong, { reason: "DIGEST_MISMATCH" });
      assert.equal((await copyOut(files, file("kept"))).bytes.toString(), "kept");
      const unknown = { transferId: randomUUID() };
      const resumed = copyIn(files, { ...file("kept"), ...unknown, resume: true }, Buffer.alloc(1));
      await assert.rejects(resumed, { reason: "TRANSFER_NOT_FOUND" });
      await assert.rejects(copyOut(files, { ...file("kept"), ...unknown, offset: 1n }), {
        reason: "TRANSFER_NOT_FOUND",
      });
      await assert.rejects(copyOut(files, file("none")), { reason: "FILE_NOT_FOUND" });
      await assert.rejects(copyOut(files, file(".")), { reason: "FILE_REFUSED" });
      await assert.rejects(put("none/x", Buffer.alloc(1)), { reason: "FILE_NOT_FOUND" });
    });

    test("a watch reports what changes after it has started, in order", async () => {
      const watch = fixture.files.watchFiles({ ...fixture.at, path: "/contract" });
      const messages = watch[Symbol.asyncIterator]();
      assert.equal((await messages.next()).value?.message.case, "started");
      await fixture.files.makeDirectory({ ...id(), ...fixture.at, path: "/contract/seen" });
      await fixture.files.removeFile({ ...id(), ...fixture.at, path: "/contract/seen" });
      const seen: (FileChangeKind | undefined)[] = [];
      while (seen.at(-1) !== FileChangeKind.REMOVED) {
        const message = (await messages.next()).value?.message;
        assert.ok(message?.case === "change" && message.value.path === "seen" && message.value.isDirectory);
        if (message.value.kind !== FileChangeKind.ATTRIBUTES) seen.push(message.value.kind);
      }
      assert.deepEqual(seen, [FileChangeKind.CREATED, FileChangeKind.REMOVED]);
      watch.cancel();
    });
  });
}
