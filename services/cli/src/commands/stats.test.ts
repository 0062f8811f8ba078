import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { resolve } from "node:path";
import { test } from "node:test";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { FakeApi } from "@paddock/client/testing";
import { PaddockError } from "@paddock/domain";
import { SandboxService, type SandboxStatsSchema } from "@paddock/protocol";
import { fakeSandbox, serveSandboxes } from "../testing/fake-sandbox.ts";
import { cli, startCli } from "../testing/run-in-process.ts";

type Stats = MessageInitShape<typeof SandboxStatsSchema>;

const MIB = 1024n * 1024n;

/** The stats after `seconds`: the VM used 1.5 CPUs and was throttled in half of its periods; its container used half a CPU. */
function statsAfter(seconds: number): Stats {
  const time = { seconds: 1000n + BigInt(seconds) };
  const us = (cpus: number) => BigInt(seconds * cpus * 1e6);
  return {
    host: {
      time,
      cpu: {
        usageUs: us(1.5),
        periods: BigInt(seconds * 10),
        throttledPeriods: BigInt(seconds * 5),
      },
      memory: { usageBytes: 192n * MIB, limitBytes: 384n * MIB },
      pids: { current: 7n },
      memoryOverheadBytes: 32n * MIB,
      declaredOverheadBytes: 128n * MIB,
    },
    containers: [
      {
        containerId: "main",
        time,
        cpu: { usageUs: us(0.5) },
        memory: { usageBytes: 16n * MIB, limitBytes: 64n * MIB },
        pids: { current: 2n },
        io: [
          { readBytes: MIB, writeBytes: 4096n },
          { readBytes: MIB, writeBytes: 0n },
        ],
        network: [{ name: "lo", rxBytes: 10n, txBytes: 20n }],
      },
      { containerId: "odd\x1b[2J", cpu: { usageUs: 0n }, memory: { usageBytes: MIB } },
    ],
  };
}

/** An api whose stats advance by a second at each reading, starting at 1. A reading after `ends` finds the sandbox stopped. */
async function fixture(ids: readonly string[], ends: Readonly<Record<string, number>> = {}) {
  const api = await FakeApi.start();
  serveSandboxes(
    api,
    ids.map((id) => fakeSandbox(id)),
  );
  const counts = new Map<string, number>();
  api.unary(SandboxService.method.getSandboxStats, ({ sandboxId }) => {
    const count = (counts.get(sandboxId) ?? 0) + 1;
    counts.set(sandboxId, count);
    if (count > (ends[sandboxId] ?? count)) throw new PaddockError("WRONG_STATE", "it is stopped");
    return { stats: statsAfter(count) };
  });
  return api;
}

const cells = (line: string): string[] => line.split(/ {3,}/);
const CONTAINER = [
  "main",
  "50.0",
  "16.0MiB / 64.0MiB",
  "25.0",
  "2",
  "2.00MiB / 4.00KiB",
  "10B / 20B",
  "-",
  "-",
];

test("stats has a row of the VM and of each container, with shares between two readings", async () => {
  await using api = await fixture(["web"]);
  const { code, out } = await cli(api, ["stats", "--no-stream", "--interval", "100ms"]);
  assert.equal(code, 0);
  assert.deepEqual(out.trimEnd().split("\n").map(cells), [
    ["SANDBOX", "CONTAINER", "CPU %", "MEM USAGE / LIMIT", "MEM %", "PIDS"].concat([
      "IO R / W",
      "NET RX / TX",
      "THROTTLED",
      "VM OVERHEAD",
    ]),
    ["web", "[vm]", "150.0", "192MiB / 384MiB", "50.0", "7", "-", "-", "50.0 %", "32.0MiB / 128MiB"],
    ["web", ...CONTAINER],
    ["web", "odd\\x1b[2J", "0.0", "1.00MiB / none", "-", "-", "-", "-", "-", "-"],
  ]);
});

test("in a pipe, stats prints lines below one heading until the named sandboxes have ended", async () => {
  await using api = await fixture(["web", "db"], { web: 4, db: 4 });
  const { code, out } = await cli(api, ["stats", "web", "db", "--interval", "100ms"]);
  assert.equal(code, 0);
  const lines = out.trimEnd().split("\n");
  assert.equal(lines.filter((line) => line.startsWith("SANDBOX")).length, 1);
  assert.deepEqual(
    lines.filter((line) => line.includes("[vm]")).map((line) => cells(line)[0]),
    ["web", "db", "web", "db", "web", "db"],
  );
});

test("stats -o json prints one object a line, with percentages", async () => {
  await using api = await fixture(["web", "db"]);
  const { out } = await cli(api, ["stats", "--no-stream", "-o", "json", "--interval", "100ms"]);
  const [web, db, ...rest] = out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.deepEqual([web.sandboxId, db.sandboxId, rest.length], ["web", "db", 0]);
  assert.equal(web.cpuPercent, 150);
  assert.equal(web.host.memoryOverheadBytes, String(32n * MIB));
  assert.equal(web.host.memory.oomKills, "0");
  assert.equal(web.containers[0].memory.limitBytes, String(64n * MIB));
});

test("a named sandbox that does not exist, or has no VM, is an error", async () => {
  await using api = await fixture(["web"], { web: 0 });
  const missing = await cli(api, ["stats", "nobody", "--no-stream"]);
  assert.equal(missing.code, 1);
  const { code, err } = await cli(api, ["stats", "web", "--no-stream"]);
  assert.equal(code, 1);
  assert.match(err, /cannot read the figures of sandbox "web": it is stopped/);
  assert.equal((await cli(api, ["stats", "web", "--interval", "10ms"])).code, 2);
});

test("without names, a sandbox that ends is left out, and the others continue", async () => {
  await using api = await fixture(["web", "db"], { web: 2 });
  const run = startCli(api, ["stats", "-o", "json", "--interval", "100ms"]);
  await run.shows('"time":"1970-01-01T00:16:45Z"');
  run.signals.emit("SIGINT", "SIGINT");
  assert.equal(await run.exit, 130);
  const order = run
    .out()
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line).sandboxId);
  assert.deepEqual(order.slice(0, 5), ["web", "db", "db", "db", "db"]);
});

test("stats ends silently when its output is closed", async () => {
  await using api = await fixture(["web"]);
  const run = startCli(api, ["stats", "--interval", "100ms"]);
  await run.shows("[vm]");
  run.closeOutput();
  assert.equal(await run.exit, 141);
  assert.equal(run.err(), "");
});

/** Runs the command line on a terminal of 12 rows and 60 columns, and interrupts it when it has drawn its third table. */
const ON_A_TERMINAL = `
import fcntl, os, pty, struct, sys, termios
pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 12, 60, 0, 0))
    os.execvp(sys.argv[1], sys.argv[1:])
text, interrupted = b"", False
while True:
    try: data = os.read(fd, 65536)
    except OSError: break
    if not data: break
    text += data
    if not interrupted and text.count(b"SANDBOX") == 3:
        interrupted = True
        os.write(fd, b"\\x03")
sys.stdout.buffer.write(text)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

test("on a terminal, stats redraws its table in place, and Ctrl-C shows the cursor again", async () => {
  await using api = await fixture(["web"]);
  const paddock = resolve(import.meta.dirname, "../../bin/paddock");
  const child = spawn("python3", ["-c", ON_A_TERMINAL, paddock, "stats", "--interval", "100ms"], {
    env: { ...process.env, PADDOCK_API: api.address, TERM: "xterm" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.on("data", (data: Buffer) => {
    text += data.toString();
  });
  const code = await new Promise((settle) => child.once("close", settle));
  assert.equal(code, 130);
  const shown = text.replaceAll("\x1b", "␛");
  assert.equal(shown.split("␛[?25l").length, 2, "the cursor is hidden once");
  assert.ok(shown.endsWith("␛[?25h"), shown.slice(-40));
  const [first = "", second = ""] = shown.split("␛[4A");
  assert.match(first, /␛\[\?25lSANDBOX .*␛\[K\r\nweb +\[vm\] +150\.0 .*␛\[K\r\nweb +main +50\.0 /);
  assert.match(second, /^\rSANDBOX /);
  for (const line of second.replaceAll(/␛\[\d*[A-Z]|\r/g, "").split("\n")) assert.ok(line.length <= 60, line);
});
