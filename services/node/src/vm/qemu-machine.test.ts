import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { identify, Monitor, SerialReader } from "@paddock/qemu";
import { QemuMachine } from "./qemu-machine.ts";

/** Answers of a QEMU that its guest controls, by command; other commands get an empty answer. */
type Answers = Readonly<Record<string, unknown>>;

async function hostileMachine(t: TestContext, answers: Answers, child: ChildProcess): Promise<QemuMachine> {
  const dir = mkdtempSync(join(tmpdir(), "hostile-qemu-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const path = join(dir, "qmp.sock");
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.write(`${JSON.stringify({ QMP: {} })}\n`);
    createInterface({ input: socket }).on("line", (line) => {
      const { execute, id } = JSON.parse(line);
      const error =
        execute === "stop" ? { class: "GenericError", desc: `\x1b[2J${"x".repeat(9999)}` } : undefined;
      socket.write(`${JSON.stringify(error ? { error, id } : { return: answers[execute] ?? {}, id })}\n`);
    });
  }).listen(path);
  await once(server, "listening");
  t.after(() => server.close());
  const identity = identify(child.pid ?? 0) ?? assert.fail("the process is there");
  const machine = await QemuMachine.of({
    identity,
    monitor: await Monitor.open({ path }),
    vcpuControl: "plug",
    guestPatienceMs: 3000,
    freeBytes: async () => 0,
    serial: new SerialReader(join(dir, "tty.sock"), 1024),
    hostOomKills: async () => 0,
  });
  t.after(() => machine.release());
  return machine;
}

test("threads that a compromised QEMU names and does not own are not its vCPUs", async (t) => {
  const child = spawn("sleep", ["60"], { stdio: "ignore" });
  t.after(() => child.kill("SIGKILL"));
  const named = [1, process.pid, child.pid, child.pid, -1, 1.5, 2 ** 60];
  const cpus = named.map((threadId, index) => ({ "cpu-index": index, "thread-id": threadId }));
  const answers = { "query-status": { status: "running" }, "query-cpus-fast": cpus };
  const machine = await hostileMachine(t, answers, child);
  const signal = AbortSignal.timeout(10_000);
  // Two vCPUs of an emulated machine share a thread.
  assert.deepEqual(await machine.vcpuThreads(signal), [child.pid, child.pid]);
  child.kill("SIGKILL");
  await once(child, "exit");
  assert.deepEqual(await machine.vcpuThreads(signal), []);
  await assert.rejects(machine.pinProcess("0", signal), /is gone/);
});

test("an error text of a compromised QEMU is shown shortened and without control characters", async (t) => {
  const child = spawn("sleep", ["60"], { stdio: "ignore" });
  t.after(() => child.kill("SIGKILL"));
  const machine = await hostileMachine(t, { "query-status": { status: "running" } }, child);
  await assert.rejects(machine.pause(AbortSignal.timeout(10_000)), (error) => {
    assert.ok(error instanceof Error && error.message.length < 600);
    assert.match(error.message, /^QMP stop: [\x20-\x7e]*$/);
    return true;
  });
});
