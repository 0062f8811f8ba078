import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { pinThreads } from "./pin-threads.ts";

const allowed = (pid: number | string) =>
  /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? "";

test("a thread shared by several vCPUs may run on the CPUs of all of them", async () => {
  const thread = spawn("sleep", ["60"]);
  try {
    const pid = thread.pid ?? assert.fail("sleep was not started");
    const cpus = allowed("self").split(/[-,]/);
    const ends = [...new Set([cpus.at(0) ?? "", cpus.at(-1) ?? ""])];
    const threads = ends.map(() => pid);
    await pinThreads(threads, ends, AbortSignal.timeout(10_000));
    assert.deepEqual(allowed(pid).split(/[-,]/), ends);
  } finally {
    thread.kill("SIGKILL");
  }
});
