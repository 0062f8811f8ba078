import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { type TestContext, test } from "node:test";
import { convertInProcess } from "./conversion-process.ts";
import type { ImportProgress } from "./convert-archive.ts";
import { archiveOf, directory, file, ociFiles, stream, tarOf } from "./testing/build-archive.ts";
import { storeFiles, temporaryStore } from "./testing/temporary-store.ts";

const image = await archiveOf(ociFiles({ layers: [await tarOf([file("a", "x".repeat(3_000_000))])] }));
const isolated = { convert: convertInProcess };

/** Pids of processes that work for a store: their command line or open files have its directory. */
async function processesOf(root: string): Promise<number[]> {
  const found: number[] = [];
  for (const pid of (await readdir("/proc")).filter((name) => /^[0-9]+$/.test(name))) {
    const commandLine = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    if (commandLine.includes(root)) found.push(Number(pid));
  }
  return found;
}

/** Pids of the conversion processes that are children of this process. */
async function conversions(): Promise<number[]> {
  const children = await readFile(`/proc/self/task/${process.pid}/children`, "utf8");
  const found: number[] = [];
  for (const pid of children.split(" ").filter((each) => each !== "")) {
    const commandLine = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    if (commandLine.includes("conversion-main")) found.push(Number(pid));
  }
  return found;
}

test("a separate process creates the same image, and reports progress in order up to each total", async (t) => {
  const here = await temporaryStore(t);
  const there = await temporaryStore(t, isolated);
  const expected = await here.store.importStream(stream(image, 65_536), { name: "a" });
  const seen: ImportProgress[] = [];
  const onProgress = (progress: ImportProgress) => seen.push(progress);
  const made = await there.store.importStream(stream(image, 65_536), { name: "a", onProgress });
  assert.deepEqual(
    { ...made, importedAt: "", createdAt: "" },
    { ...expected, importedAt: "", createdAt: "" },
  );
  assert.deepEqual([...new Set(seen.map(({ phase }) => phase))], ["receive", "verify", "convert", "store"]);
  for (const phase of ["verify", "convert", "store"] as const) {
    const last = seen.findLast((progress) => progress.phase === phase);
    assert.equal(last?.bytesDone, last?.bytesTotal);
  }
  assert.deepEqual(await conversions(), []);
});

test("an error keeps its kind, message and hint across the process boundary", async (t) => {
  const { store, root } = await temporaryStore(t, isolated);
  const climbing = await tarOf([file("../etc/passwd")]);
  await assert.rejects(store.importStream(stream(climbing)), (error: Error) => {
    assert.deepEqual(
      [error.name, "kind" in error && error.kind, "hint" in error && typeof error.hint],
      ["ImageError", "unsafe_path", "string"],
    );
    return /contains \.\. \(an image may contain only/.test(error.message);
  });
  assert.deepEqual(await storeFiles(root), []);
});

/** Imports an image and calls `end` with the conversion process as soon as it runs. */
async function endedMidway(t: TestContext, end: (pid: number) => void, kind: string): Promise<void> {
  const { store, root } = await temporaryStore(t, isolated);
  const onProgress = ({ phase }: ImportProgress) => {
    if (phase === "verify") void conversions().then((pids) => pids.forEach(end));
  };
  const large = await tarOf([file("zeros", Buffer.alloc(64 * 1024 ** 2))]);
  await assert.rejects(store.importStream(stream(large, 1024 ** 2), { onProgress }), {
    name: "ImageError",
    kind,
  });
  assert.deepEqual(await storeFiles(root), []);
  assert.deepEqual(await processesOf(root), [], "a process is still running");
  await store.importStream(stream(image, 65_536));
}

test("a crash of the process is `failed`, leaves nothing, and the next import succeeds", async (t) => {
  await endedMidway(t, (pid) => process.kill(pid, "SIGSEGV"), "failed");
});

test("a process killed for lack of memory is `too_large`", async (t) => {
  await endedMidway(t, (pid) => process.kill(pid, "SIGKILL"), "too_large");
});

test("an archive that needs too much memory is refused, and leaves nothing", async (t) => {
  const limits = { minFreeBytes: 0, maxConversionMemoryBytes: 12 * 1024 ** 2 };
  const { store, root } = await temporaryStore(t, { ...isolated, limits });
  const names = Array.from({ length: 8_000 }, (_, i) => directory(`${i}-${"n".repeat(200)}`));
  const archive = await tarOf(names);
  await assert.rejects(store.importStream(stream(archive, 1024 ** 2)), {
    kind: "too_large",
    message: /more than the 12 MiB of memory allowed/,
  });
  assert.deepEqual(await storeFiles(root), []);
});

test("an import that takes too long is refused, and leaves nothing", async (t) => {
  const limits = { minFreeBytes: 0, maxConversionMs: 1 };
  const { store, root } = await temporaryStore(t, { ...isolated, limits });
  await assert.rejects(store.importStream(stream(image, 65_536)), {
    kind: "too_large",
    message: /takes longer than 0.001 s/,
  });
  assert.deepEqual(await storeFiles(root), []);
  assert.deepEqual(await conversions(), []);
});

test("an aborted import ends its process in every phase, and leaves nothing", async (t) => {
  for (const phase of ["verify", "convert", "store"] as const) {
    const { store, root } = await temporaryStore(t, isolated);
    const abort = new AbortController();
    const onProgress = (progress: ImportProgress) => {
      if (progress.phase === phase) abort.abort(new Error("the client left"));
    };
    const { signal } = abort;
    await assert.rejects(
      store.importStream(stream(image, 65_536), { signal, onProgress }),
      /the client left/,
    );
    assert.deepEqual(await storeFiles(root), [], phase);
    assert.deepEqual([await conversions(), await processesOf(root)], [[], []], phase);
  }
});
