/** Tests with a real QEMU, mostly without a machine (`-M none -S`): it starts in about 50 ms and supports all of QMP. */
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

/** Starts an empty machine, opens its monitor, and ends both after the body. */
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

test("the session reads the greeting, and commands return typed values", async () => {
  await withQemu(async (_, monitor) => {
    assert.match(monitor.session.version, /^\d+\.\d+\.\d+$/);
    assert.deepEqual(await monitor.status(), { running: false, status: "prelaunch" });
    assert.deepEqual(await monitor.vcpus(), []);
    assert.equal((await monitor.readSerial(1024)).length, 0);
  });
});

test("concurrent calls each get their own reply", async () => {
  await withQemu(async (_, monitor) => {
    const calls = Array.from({ length: 200 }, (_unused, i) =>
      i % 2 === 0
        ? monitor.session.execute("query-name").then((answer) => assert.deepEqual(answer, {}))
        : monitor.status().then((status) => assert.equal(status.status, "prelaunch")),
    );
    await Promise.all(calls);
  });
});

test("a refusal names the command, QEMU's message and its error class", async () => {
  await withQemu(async (_, monitor) => {
    await assert.rejects(monitor.session.execute("no-such-command"), {
      kind: "qmp-refused",
      detail: "CommandNotFound",
      message: /no-such-command/,
    });
  });
});

/** Ends QEMU, which may exit before its reply is read. */
const quit = (monitor: Monitor) => monitor.session.execute("quit").catch(() => undefined);

test("an event reaches a waiter that listened before its cause", async () => {
  await withQemu(async (_, monitor) => {
    const event = monitor.session.nextEvent("SHUTDOWN");
    await quit(monitor);
    assert.equal((await event).data.reason, "host-qmp-quit");
    assert.equal((await monitor.closed).kind, "qmp-closed");
  });
});

test("waiting for an event ends when the connection closes, or at the deadline", async () => {
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

test("an aborted call rejects at once, and its late reply is ignored", async () => {
  await withQemu(async (_, monitor) => {
    const stop = new AbortController();
    const call = monitor.status({ signal: stop.signal });
    stop.abort();
    await assert.rejects(call, { kind: "aborted" });
    assert.equal((await monitor.status()).status, "prelaunch");
    await assert.rejects(monitor.status({ signal: AbortSignal.abort() }), { kind: "aborted" });
  });
});

test("a second client fails at its deadline while the monitor is in use, and connects after the first", async () => {
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

test("a disk whose device cannot be added is removed again", async () => {
  await withQemu(async (_, monitor) => {
    const disk = { kind: "disk", id: "d0", path: "/dev/null", readOnly: true, target: 0 } as const;
    await assert.rejects(monitor.addDevice(disk), { kind: "qmp-refused" });
    assert.deepEqual(await monitor.session.execute("query-named-block-nodes"), []);
  });
});

test("a disk has the last rates set, and none after they are removed", async () => {
  const path = join(scratch, "disk");
  writeFileSync(path, Buffer.alloc(1024 * 1024));
  const body = async (_: SpawnedQemu, monitor: Monitor): Promise<void> => {
    await monitor.addDevice({ kind: "disk", id: "d0", path, readOnly: false, target: 0 });
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

test("QEMU runs in its own session, with no new privileges, and without the daemon's environment", async () => {
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

test("as another user QEMU has no capabilities", async () => {
  assert.equal(process.getuid?.(), 0, "the tests of privilege dropping run as root");
  const args = ["-M", "none", "-S", "-nodefaults", "-display", "none", "-chardev", "null,id=a"];
  const privileges = { user: { uid: 64_999, gid: 64_999, groups: [] } };
  const qemu = await spawnQemu({
    binary: "qemu-system-x86_64",
    args: [...args, "-qmp", "stdio"],
    privileges,
  });
  // stdin is empty: QEMU keeps running with its monitor closed, which is enough here.
  const status = await statusOnce(qemu, /^Name:\s+qemu-system/m);
  await endProcess(qemu.identity, { graceMs: 0 });
  assert.match(status, /^Uid:\s+64999\s+64999\s+64999\s+64999$/m);
  assert.match(status, /^CapEff:\s+0{16}$/m);
  assert.match(status, /^CapBnd:\s+0{16}$/m);
  assert.match(status, /^Groups:\s*$/m);
});

/** Waits until the status matches, because the process executes prlimit and setpriv first. */
async function statusOnce(qemu: SpawnedQemu, looks: RegExp): Promise<string> {
  const { pid } = qemu.identity;
  const deadline = performance.now() + 5000;
  while (performance.now() < deadline) {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    if (looks.test(status)) return status;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error(`process ${pid} has no status that matches ${looks} after 5 s`);
}

test("when QEMU rejects its arguments, the error quotes it", async () => {
  const qemu = await spawnQemu({ binary: "qemu-system-x86_64", args: ["-M", "nonsense"], privileges: {} });
  await assert.rejects(waitForMonitor(qemu, { path: socketName(), timeoutMs: 10_000 }), {
    kind: "spawn-failed",
    message: /exit code 1.*unsupported machine type/s,
  });
});

test("waiting for a monitor that never opens fails at the deadline", async () => {
  const qemu = await spawnQemu({ binary: "sleep", args: ["30"], privileges: {} });
  try {
    await assert.rejects(waitForMonitor(qemu, { path: socketName(), timeoutMs: 80 }), { kind: "deadline" });
  } finally {
    await endProcess(qemu.identity, { graceMs: 0 });
  }
});

test("a process is identified by its start time and boot, not by its pid alone", async () => {
  await withQemu(async (qemu) => {
    const { identity } = qemu;
    assert.deepEqual(identify(identity.pid), identity);
    assert.equal(isAlive(identity), true);
    for (const wrong of [{ startTicks: "1" }, { bootId: "another-boot" }]) {
      assert.equal(isAlive({ ...identity, ...wrong }), false);
      assert.equal(signalProcess({ ...identity, ...wrong }, "SIGKILL"), false);
    }
    assert.equal(isAlive(identity), true, "a wrong identity kills no process");
  });
});

test("ending a process resolves its exit, and ending it twice is not an error", async () => {
  const qemu = await spawnQemu({ binary: "sleep", args: ["30"], privileges: {} });
  await endProcess(qemu.identity);
  assert.equal(isAlive(qemu.identity), false);
  await endProcess(qemu.identity);
});

test("a process that ignores SIGTERM is killed after the grace period", async () => {
  const args = ["-c", "trap '' TERM; while :; do sleep 1; done"];
  const qemu = await spawnQemu({ binary: "sh", args, privileges: {} });
  // SIGTERM is bit 15 of the hexadecimal mask of ignored signals.
  await statusOnce(qemu, /^SigIgn:\s+[0-9a-f]{12}[4-7c-f][0-9a-f]{3}$/m);
  await endProcess(qemu.identity, { graceMs: 50 });
  assert.equal(isAlive(qemu.identity), false);
});

test("a command name with blanks and parentheses does not shift the fields of its stat line", () => {
  const fields = ["S", ...Array.from({ length: 18 }, (_, i) => String(i)), "4711", "0"];
  assert.deepEqual(parseProcStat(`12 (a) b (c) ${fields.join(" ")}`), { state: "S", startTicks: "4711" });
  assert.equal(parseProcStat("12 (short) S 1"), undefined);
});

/** A peer that plays a hostile QEMU. */
async function withPeer(
  lines: (Buffer | string)[],
  body: (path: string) => Promise<void>,
  answers: Buffer[] = [],
): Promise<void> {
  const path = socketName();
  const server = createServer((socket) => {
    socket.on("error", () => {});
    // Read, to notice the end of the connection.
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

test("a line without end closes the connection at the limit", async () => {
  await withPeer([GREETING, Buffer.alloc(5000, 0x20)], async (path) => {
    await assert.rejects(QmpSession.open({ path, maxLineBytes: 4096 }), { kind: "qmp-protocol" });
  });
});

for (const [what, line] of [
  ["is not JSON", "hello\n"],
  ["is JSON but not an object", "[1]\n"],
  ["is not a greeting", '{"return":{}}\n'],
] as const) {
  test(`the connection to a peer whose first line ${what} is closed`, async () => {
    await withPeer([line], async (path) => {
      await assert.rejects(QmpSession.open({ path }), { kind: "qmp-protocol" });
    });
  });
}

test("a peer that is silent after its greeting fails the call at the deadline", async () => {
  await withPeer([GREETING], async (path) => {
    await assert.rejects(QmpSession.open({ path, timeoutMs: 50 }), {
      kind: "deadline",
      message: /qmp_capabilities/,
    });
  });
});

test("replies with unknown ids are ignored, and events cut into single bytes are read", async () => {
  const stray = '{"return":{},"id":99}\n{"return":{},"id":1}\n{"event":"RESUME","timestamp":{"seconds":2}}\n';
  const bytes = [...Buffer.from(stray)].map((byte) => Buffer.from([byte]));
  const digest = async (path: string): Promise<void> => {
    const session = await QmpSession.open({ path });
    session.close();
    assert.equal((await session.closed).kind, "qmp-closed");
  };
  await withPeer([GREETING], digest, bytes);
});
