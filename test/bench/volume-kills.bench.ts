/**
 * Kills the VM and the node daemon in turn, at random moments, while SQLite of Debian writes rows to a volume. A row counts as committed
 * when SQLite has said so to a client. After each kill the database is checked, and each committed row must be there.
 * PADDOCK_KILLS sets the number of kills, and PADDOCK_KILLS_SEED repeats the moments of a run.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { OutputStream, SandboxState } from "@paddock/protocol";
import { debianImage } from "../fixtures/debian-image.ts";
import { exec } from "../harness/exec.ts";
import { machinesOf } from "../harness/machines.ts";
import { idle } from "../harness/sandbox.ts";
import { seededRandom } from "../harness/seeded-random.ts";
import { inSeconds, Stack } from "../harness/stack.ts";
import { until } from "../harness/until.ts";
import { report } from "./report.ts";

const KILLS = Number(process.env.PADDOCK_KILLS ?? 20);
const SEED = Number(process.env.PADDOCK_KILLS_SEED ?? Date.now() % 1_000_000);
const MAX_LIFE_MS = 3000;
const VOLUME_BYTES = 64n << 20n;

const at = { sandboxId: "db", containerId: "c1" };
/**
 * Each insert is a transaction, and its number is printed after its commit. With a write-ahead log a commit is synced. With SQLite's
 * default, a journal that is deleted, it is not: a loss of power may undo the last one, as SQLite documents.
 */
const WRITE = `
  sqlite3 /data/db 'pragma journal_mode=wal; create table if not exists row (n integer primary key)' >/dev/null
  n=$(sqlite3 /data/db 'select coalesce(max(n), 0) from row')
  while :; do n=$((n + 1)); echo "insert into row values ($n); select $n;"; done | stdbuf -oL sqlite3 /data/db`;
const CHECK = "sqlite3 /data/db 'pragma integrity_check; select count(*), coalesce(max(n), 0) from row'";

const random = seededRandom(SEED);
const id = () => ({ requestId: randomUUID() });
let committed = 0;

/** Writes rows until the process or its stream ends, and notes the last one that is committed. */
async function write(stack: Stack): Promise<void> {
  const call = stack.client.processes.exec({ deadline: inSeconds(120) });
  await call.write({ message: { case: "start", value: { ...at, process: { args: ["sh", "-c", WRITE] } } } });
  let rest = "";
  try {
    for await (const { output } of call) {
      if (output?.output.case !== "chunk" || output.output.value.stream !== OutputStream.STDOUT) continue;
      const lines = `${rest}${Buffer.from(output.output.value.data)}`.split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) committed = Math.max(committed, Number(line));
    }
  } catch {
    // The kill ends the stream.
  }
}

async function killMachine(stack: Stack): Promise<void> {
  const { sandboxes } = stack.client;
  for (const pid of machinesOf(stack.stateDirectory)) process.kill(Number(pid), "SIGKILL");
  const isStopped = async () => (await sandboxes.getSandboxStatus(at)).status?.state === SandboxState.STOPPED;
  await until(isStopped, "the sandbox is stopped");
  await sandboxes.startSandbox({ ...id(), sandboxId: at.sandboxId }, { deadline: inSeconds(90) });
}

async function killDaemon(stack: Stack): Promise<void> {
  await stack.killNode();
  await stack.startNode();
  await exec(stack.client, ["pkill", "sqlite3"], at);
}

await using stack = await Stack.start();
const { imageId } = await stack.importImage(await debianImage());
await stack.client.volumes.createVolume({ ...id(), name: "data", sizeBytes: VOLUME_BYTES });
const mounts = [{ destination: "/data", source: { case: "volume" as const, value: { name: "data" } } }];
const containers = [{ containerId: at.containerId, image: imageId, process: idle, mounts }];
await stack.client.sandboxes.runSandbox(
  { ...id(), sandboxId: at.sandboxId, spec: { containers } },
  { deadline: inSeconds(90) },
);
const rows: number[] = [];
let lost = 0;
let damaged = 0;
for (let kill = 0; kill < KILLS; kill++) {
  const before = committed;
  const writing = write(stack);
  await until(() => committed > before, "a row is committed");
  await pause(random.below(MAX_LIFE_MS));
  await (kill % 2 === 0 ? killMachine(stack) : killDaemon(stack));
  await writing;
  const { stdout } = await exec(stack.client, ["sh", "-c", CHECK], at);
  const [, count = "0", max = "0"] = /^ok\n(\d+)\|(\d+)\n$/.exec(stdout) ?? [];
  if (count !== max || count === "0") damaged++;
  lost += Math.max(0, committed - Number(max));
  rows.push(committed - before);
  console.error(
    `kill ${kill + 1} of ${KILLS}: ${committed} rows committed, the database says ${stdout.trim()}`,
  );
}
report(
  "volume-kills",
  { accelerator: "software emulation (TCG)", seed: String(SEED) },
  [{ name: "rows committed before a kill", unit: "count", samples: rows }],
  [
    { name: "volume_kills_lost_rows", value: lost, limit: 0 },
    { name: "volume_kills_damaged_databases", value: damaged, limit: 0 },
  ],
);
