import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { identify, parseProcStat } from "./process-identity.ts";
import { StealTime } from "./steal-time.ts";

/** A process that computes on CPU 0 until the test ends. */
async function busy(t: { after(done: () => void): void }, policy: readonly string[]): Promise<number> {
  const loop = ["sh", "-c", "echo up; while :; do :; done"];
  const child = spawn("taskset", ["-c", "0", ...policy, ...loop], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => child.kill("SIGKILL"));
  await once(child.stdout, "data");
  return child.pid ?? 0;
}

test("a process that waits for a CPU has steal time, and a stopped process has none", async (t) => {
  // It gets about a seventieth of the CPU.
  const pid = await busy(t, ["nice", "-n", "19"]);
  await busy(t, []);
  const identity = identify(pid);
  assert.ok(identity);
  const steal = new StealTime(identity);
  const begunMs = performance.now();
  // The kernel counts a wait when it is over, and on a busy host one wait is long.
  while (steal.read() < 700 && performance.now() - begunMs < 60_000) await pause(50);
  const starvedMs = steal.read();
  const elapsedMs = performance.now() - begunMs;
  assert.ok(starvedMs >= 700 && starvedMs <= elapsedMs, `${starvedMs} of ${elapsedMs} ms`);
  assert.equal(steal.read(60_000), starvedMs, "a fresh figure is read again");

  process.kill(pid, "SIGSTOP");
  while (parseProcStat(readFileSync(`/proc/${pid}/stat`, "utf8"))?.state !== "T") await pause(10);
  const stoppedMs = steal.read();
  await pause(300);
  assert.equal(steal.read(), stoppedMs);
});

test("the steal time of a process that has ended does not grow", async () => {
  const child = spawn("true");
  const identity = identify(child.pid ?? 0);
  assert.ok(identity);
  const steal = new StealTime(identity);
  await once(child, "exit");
  const endedMs = steal.read();
  assert.equal(steal.read(), endedMs);
});
