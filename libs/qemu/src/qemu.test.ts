/** Against a real QEMU, mostly one that has no machine (`-M none -S`): it starts in some 50 ms and speaks the whole of QMP. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { endProcess } from "./end-process.ts";
import { Monitor } from "./monitor.ts";
import { identify, isAlive, parseProcStat, signalProcess } from "./process-identity.ts";
import { QmpSession } from "./qmp-session.ts";
import { type SpawnedQemu, spawnQemu } from "./spawn-qemu.ts";
import { waitForMonitor } from "./wait-for-monitor.ts";

const scratch = mkdtempSync(join(tmpdir(), "paddock-qemu-test-"));
after(() => rmSync(scratch, { recursive: true, force: true }));
let count = 0;

function socketName(): string {
  count += 1;
  return join(scratch, `${count}.sock`);
}

/** An empty machine, its monitor, and the promise that both are gone when the body ends. */
async function withQemu(
  body: (qemu: SpawnedQemu, monitor: Monitor, path: string) => Promise<void>,
  machine: readonly string[] = ["-M", "none"],
): Promise<void> {
  const path = socketName();
  const args = [
    ...machine,
    ...["-S", "-nodefaults", "-no-user-config", "-display", "none"],
    ...["-chardev", "ringbuf,id=serial0,size=1024"],
    ...["-qmp", `unix:${path},server=on,wait=off`],
  ];
  const qemu = await spawnQemu({ binary: "qemu-system-x86_64", args, privileges: {} });
  try {
    const monitor = await waitForMonitor(qemu, { path, timeoutMs: 10_000 });
    await body(qemu, monitor, path);
    monitor.close();
  } finally {
    await endProcess(qemu.identity, { graceMs: 0 });
  }
}

test("QEMU greets, and answers commands with typed values", async () => {
  await withQemu(async (_, monitor) => {
    assert.match(monitor.session.version, /^\d+\.\d+\.\d+$/);
    assert.deepEqual(await monitor.status(), { running: false, status: "prelaunch" });
    assert.deepEqual(await monitor.vcpus(), []);
    assert.equal((await monitor.readSerial(1024)).length, 0);
  });
});

test("many calls at once each get their own answer", async () => {
  await withQemu(async (_, monitor) => {
    const calls = Array.from({ length: 200 }, (_unused, i) =>
      i % 2 === 0
        ? monitor.session.execute("query-name").then((answer) => assert.deepEqual(answer, {}))
        : monitor.status().then((status) => assert.equal(status.status, "prelaunch")),
    );
    await Promise.all(calls);
  });
});

test("a refusal says which command, what QEMU said, and its class", async () => {
  await withQemu(async (_, monitor) => {
    await assert.rejects(monitor.session.execute("no-such-command"), {
      kind: "qmp-refused",
      detail: "CommandNotFound",
      message: /no-such-command/,
    });
  });
});

/** Ends QEMU, which may be gone before its answer is read. */
const quit = (monitor: Monitor) => monitor.session.execute("quit").catch(() => undefined);

test("an event is seen by whoever waited for it before its cause", async () => {
  await withQemu(async (_, monitor) => {
    const event = monitor.session.nextEvent("SHUTDOWN");
    await quit(monitor);
    assert.equal((await event).data.reason, "host-qmp-quit");
    assert.equal((await monitor.closed).kind, "qmp-closed");
  });
});

test("waiting for an event ends when the connection does, or at the deadline", async () => {
  await withQemu(async (_, monitor) => {
    await assert.rejects(monitor.session.nextEvent("NEVER", undefined, { timeoutMs: 20 }), {
      kind: "deadline",
    });
    const lost = assert.rejects(monitor.session.nextEvent("NEVER"), { kind: "qmp-closed" });
    await quit(monitor);
    await lost;
    await assert.rejects(monitor.status(), { kind: "qmp-closed" });
  });
});

test("an aborted call rejects at once and its late answer harms nobody", async () => {
  await withQemu(async (_, monitor) => {
    const stop = new AbortController();
    const call = monitor.status({ signal: stop.signal });
    stop.abort();
    await assert.rejects(call, { kind: "aborted" });
    assert.equal((await monitor.status()).status, "prelaunch");
    await assert.rejects(monitor.status({ signal: AbortSignal.abort() }), { kind: "aborted" });
  });
});

test("a second client is told at its deadline that the monitor is taken, and gets in after the first", async () => {
  await withQemu(async (_, first, path) => {
    await assert.rejects(Monitor.open({ path, timeoutMs: 50 }), {
      kind: "deadline",
      message: /another client/,
    });
    first.close();
    const second = await Monitor.open({ path });
    assert.equal((await second.status()).status, "prelaunch");
    second.close();
  });
});

test("a half-plugged disk is taken out again", async () => {
  await withQemu(async (_, monitor) => {
    const disk = { id: "d0", path: "/dev/null", readOnly: true, target: 0, serial: "x" };
    await assert.rejects(monitor.addDisk(disk), { kind: "qmp-refused" });
    assert.deepEqual(await monitor.session.execute("query-named-block-nodes"), []);
  });
});

test("a disk has the rates that it was given last, and none after they were lifted", async () => {
  const path = join(scratch, "disk");
  writeFileSync(path, Buffer.alloc(1024 * 1024));
  const body = async (_: SpawnedQemu, monitor: Monitor): Promise<void> => {
    await monitor.addDisk({ id: "d0", path, readOnly: false, target: 0, serial: "x" });
    const rates = async () => {
      const [block] = (await monitor.session.execute("query-block")) as [
        { inserted: Record<string, number> },
      ];
      const { bps_rd, bps_wr, iops_rd, iops_wr } = block.inserted;
      return { bps_rd, bps_wr, iops_rd, iops_wr };
    };
    await monitor.limitDisk("d0", { readBytesPerSecond: 1e6, writeOperationsPerSecond: 5 });
    await monitor.limitDisk("d0", { writeBytesPerSecond: 2e6, readOperationsPerSecond: 7 });
    assert.deepEqual(await rates(), { bps_rd: 0, bps_wr: 2e6, iops_rd: 7, iops_wr: 0 });
    await monitor.limitDisk("d0", {});
    assert.deepEqual(await rates(), { bps_rd: 0, bps_wr: 0, iops_rd: 0, iops_wr: 0 });
    await assert.rejects(monitor.limitDisk("d1", {}), { kind: "qmp-refused" });
  };
  await withQemu(body, ["-M", "q35", "-device", "virtio-scsi-pci,id=scsi0"]);
});

test("QEMU runs in a session of its own, with no new privileges, and without our environment", async () => {
  process.env.PADDOCK_TEST_SECRET = "s3cret";
  await withQemu(async (qemu) => {
    const { pid } = qemu.identity;
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    assert.equal(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[3], String(pid), "session id is the pid");
    assert.match(readFileSync(`/proc/${pid}/status`, "utf8"), /^NoNewPrivs:\s1$/m);
    assert.match(readFileSync(`/proc/${pid}/limits`, "utf8"), /^Max core file size\s+0\s+0/m);
    assert.doesNotMatch(readFileSync(`/proc/${pid}/environ`, "utf8"), /s3cret/);
  });
  delete process.env.PADDOCK_TEST_SECRET;
});

test("as another user QEMU has no capability left", async () => {
  assert.equal(process.getuid?.(), 0, "the tests of privilege dropping run as root");
  const args = ["-M", "none", "-S", "-nodefaults", "-display", "none", "-chardev", "null,id=a"];
  const privileges = { user: { uid: 64_999, gid: 64_999, groups: [] } };
  const qemu = await spawnQemu({
    binary: "qemu-system-x86_64",
    args: [...args, "-qmp", "stdio"],
    privileges,
  });
  // stdin is empty: QEMU stays up with its monitor closed, which is all that is looked at here.
  const status = await statusOnce(qemu, /^Name:\s+qemu-system/m);
  await endProcess(qemu.identity, { graceMs: 0 });
  assert.match(status, /^Uid:\s+64999\s+64999\s+64999\s+64999$/m);
  assert.match(status, /^CapEff:\s+0{16}$/m);
  assert.match(status, /^CapBnd:\s+0{16}$/m);
  assert.match(status, /^Groups:\s*$/m);
});

/** The process passes through prlimit and setpriv; its status counts once it looks like this. */
async function statusOnce(qemu: SpawnedQemu, looks: RegExp): Promise<string> {
  const { pid } = qemu.identity;
  const deadline = performance.now() + 5000;
  while (performance.now() < deadline) {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    if (looks.test(status)) return status;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error(`process ${pid} did not come to look like ${looks} within 5 s`);
}

test("a QEMU that refuses its arguments is quoted", async () => {
  const qemu = await spawnQemu({ binary: "qemu-system-x86_64", args: ["-M", "nonsense"], privileges: {} });
  await assert.rejects(waitForMonitor(qemu, { path: socketName(), timeoutMs: 10_000 }), {
    kind: "spawn-failed",
    message: /exit code 1.*unsupported machine type/s,
  });
});

test("a QEMU that never opens its monitor is given up at the deadline", async () => {
  const qemu = await spawnQemu({ binary: "sleep", args: ["30"], privileges: {} });
  try {
    await assert.rejects(waitForMonitor(qemu, { path: socketName(), timeoutMs: 80 }), { kind: "deadline" });
  } finally {
    await endProcess(qemu.identity, { graceMs: 0 });
  }
});

test("a process is known by its start time and its boot, not by its pid alone", async () => {
  await withQemu(async (qemu) => {
    const { identity } = qemu;
    assert.deepEqual(identify(identity.pid), identity);
    assert.equal(isAlive(identity), true);
    for (const wrong of [{ startTicks: "1" }, { bootId: "another-boot" }]) {
      assert.equal(isAlive({ ...identity, ...wrong }), false);
      assert.equal(signalProcess({ ...identity, ...wrong }, "SIGKILL"), false);
    }
    assert.equal(isAlive(identity), true, "a mistaken identity got nobody killed");
  });
});

test("ending a process is told by its exit, and ending it twice is no error", async () => {
  const qemu = await spawnQemu({ binary: "sleep", args: ["30"], privileges: {} });
  await endProcess(qemu.identity);
  assert.equal(isAlive(qemu.identity), false);
  await endProcess(qemu.identity);
});

test("a process that ignores SIGTERM is killed after its grace", async () => {
  const args = ["-c", "trap '' TERM; while :; do sleep 1; done"];
  const qemu = await spawnQemu({ binary: "sh", args, privileges: {} });
  // Bit 15 of the ignored signals, in hexadecimal, is SIGTERM.
  await statusOnce(qemu, /^SigIgn:\s+[0-9a-f]{12}[4-7c-f][0-9a-f]{3}$/m);
  await endProcess(qemu.identity, { graceMs: 50 });
  assert.equal(isAlive(qemu.identity), false);
});

test("a command name with blanks and parentheses does not shift the fields of its stat line", () => {
  const fields = ["S", ...Array.from({ length: 18 }, (_, i) => String(i)), "4711", "0"];
  assert.deepEqual(parseProcStat(`12 (a) b (c) ${fields.join(" ")}`), { state: "S", startTicks: "4711" });
  assert.equal(parseProcStat("12 (short) S 1"), undefined);
});

/** A peer that says what we want a hostile QEMU to say. */
async function withPeer(
  lines: (Buffer | string)[],
  body: (path: string) => Promise<void>,
  answers: Buffer[] = [],
): Promise<void> {
  const path = socketName();
  const server = createServer((socket) => {
    socket.on("error", () => {});
    // Reading also to notice the end of the connection.
    socket.once("data", () => {
      for (const answer of answers) socket.write(answer);
      socket.resume();
    });
    for (const line of lines) socket.write(line);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  try {
    await body(path);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

const GREETING = '{"QMP":{"version":{"qemu":{"major":7,"minor":2,"micro":22}},"capabilities":[]}}\n';

test("a line without end is cut off at the limit", async () => {
  await withPeer([GREETING, Buffer.alloc(5000, 0x20)], async (path) => {
    await assert.rejects(QmpSession.open({ path, maxLineBytes: 4096 }), { kind: "qmp-protocol" });
  });
});

for (const [what, line] of [
  ["is not JSON", "hello\n"],
  ["is JSON but no object", "[1]\n"],
  ["is no greeting", '{"return":{}}\n'],
] as const) {
  test(`a peer whose first line ${what} is left`, async () => {
    await withPeer([line], async (path) => {
      await assert.rejects(QmpSession.open({ path }), { kind: "qmp-protocol" });
    });
  });
}

test("a peer that greets and then says nothing is left at the deadline", async () => {
  await withPeer([GREETING], async (path) => {
    await assert.rejects(QmpSession.open({ path, timeoutMs: 50 }), {
      kind: "deadline",
      message: /qmp_capabilities/,
    });
  });
});

test("answers with unknown ids and events cut into single bytes are digested", async () => {
  const stray = '{"return":{},"id":99}\n{"return":{},"id":1}\n{"event":"RESUME","timestamp":{"seconds":2}}\n';
  const bytes = [...Buffer.from(stray)].map((byte) => Buffer.from([byte]));
  const digest = async (path: string): Promise<void> => {
    const session = await QmpSession.open({ path });
    session.close();
    assert.equal((await session.closed).kind, "qmp-closed");
  };
  await withPeer([GREETING], digest, bytes);
});
