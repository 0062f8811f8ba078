import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { readUsage } from "./usage.ts";

const MIB = 1024 * 1024;

/** A directory with these files, in place of a cgroup's. */
function directory(t: TestContext, files: Readonly<Record<string, string>>) {
  const path = mkdtempSync(join(tmpdir(), "usage-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
  return new Map([["memory", path] as const]);
}

const lines = (figures: Readonly<Record<string, number>>): string =>
  Object.entries(figures)
    .map(([key, value]) => `${key} ${value}\n`)
    .join("");

test("under v1 reclaimable memory is the page cache without shared memory, including child cgroups", async (t) => {
  const stat = {
    cache: 9,
    inactive_file: 1,
    total_cache: 130 * MIB,
    total_shmem: 20 * MIB,
    total_rss: 60 * MIB,
  };
  const lists = {
    total_inactive_file: 100 * MIB,
    total_active_file: 10 * MIB,
    total_inactive_anon: 20 * MIB,
  };
  const usage = await readUsage(
    1,
    directory(t, { "memory.usage_in_bytes": `${190 * MIB}\n`, "memory.stat": lines({ ...stat, ...lists }) }),
  );
  assert.deepEqual([usage.memoryBytes, usage.memoryCacheBytes], [190 * MIB, 110 * MIB]);
});

test("under v2 reclaimable memory is the page cache plus reclaimable slabs", async (t) => {
  const stat = {
    anon: 60 * MIB,
    file: 130 * MIB,
    shmem: 20 * MIB,
    inactive_file: 100 * MIB,
    active_file: 10 * MIB,
    slab_reclaimable: 4 * MIB,
  };
  const files = { "memory.current": `${194 * MIB}\n`, "memory.stat": lines(stat) };
  const usage = await readUsage(2, directory(t, files));
  assert.deepEqual([usage.memoryBytes, usage.memoryCacheBytes], [194 * MIB, 114 * MIB]);
});

test("without memory figures no page cache is reported", async (t) => {
  for (const version of [1, 2] as const)
    assert.equal((await readUsage(version, directory(t, {}))).memoryCacheBytes, undefined);
});
