import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import type { NetworkRecord } from "../record/network-record.ts";
import { hostName } from "../record/sandbox-paths.ts";
import type { Operation } from "../record/sandbox-record.ts";
import { countSyncs } from "../testing/count-syncs.ts";
import { recordOf } from "../testing/record-of.ts";
import { NodeStore } from "./node-store.ts";
import { decodeRecord, encodeRecord } from "./record-codec.ts";
import { lockState } from "./state-lock.ts";

const directory = mkdtempSync(join(tmpdir(), "paddock-store-test-"));
after(() => rmSync(directory, { recursive: true, force: true }));
let files = 0;
const newFile = () => join(directory, `${files++}.db`);

const record = recordOf("s1", {
  kind: "stopped",
  cause: "signalled",
  exit: { code: 137, signal: 9, oomKilled: false, exitedAtMs: 5, reason: "" },
  startedAtMs: 4,
  stoppedAtMs: 6,
});

test("a record decoded from its text is the same", () => {
  assert.deepEqual(decodeRecord("s1", encodeRecord(record)), record);
});

test("noted operations are decoded with the input of their undo", () => {
  const [container = assert.fail("it has one")] = record.containers;
  const operations: Operation[] = [
    { kind: "stop" },
    {
      kind: "add-container",
      container: { ...container, targets: { image: 7 } },
      volumes: [{ volume: "data", target: 8, readOnly: true }],
    },
    { kind: "update-container", containerId: container.containerId },
    { kind: "add-interface", interface: lan },
    { kind: "remove-interface", interfaceId: "lan", requestId: "r2" },
    { kind: "update-routes" },
  ];
  const noted = { ...record, operations };
  assert.deepEqual(decodeRecord("s1", encodeRecord(noted)), noted);
});

const lan = {
  interfaceId: "lan",
  name: "net1",
  index: 3,
  mac: "02:50:0a:58:00:03",
  added: { port: 0, requestId: "r1", mtu: 1300 },
};

test("volumes are decoded, and a record of a daemon without volumes has none", () => {
  const volumes = [{ volume: "data", target: 2, readOnly: false }];
  assert.deepEqual(decodeRecord("s1", encodeRecord({ ...record, volumes })).volumes, volumes);
  const { volumes: _, ...former } = JSON.parse(encodeRecord(record));
  assert.deepEqual(decodeRecord("s1", JSON.stringify(former)).volumes, []);
});

test("interfaces, routes and published ports are decoded, and a network of the former version has no slot and no routes", () => {
  const eth0 = { interfaceId: "eth0", name: "eth0", index: 2, mac: "02:50:0a:58:00:02" };
  const route = {
    destination: "0.0.0.0/0",
    gateway: "10.88.0.1",
    interfaceId: "eth0",
    source: "",
    metric: 5,
  };
  const former = {
    interfaces: [eth0],
    published: [{ hostAddress: "", protocol: "tcp" as const, hostPort: 8080, guestPort: 80 }],
  };
  const network: NetworkRecord = {
    ...former,
    interfaces: [eth0, lan],
    slots: 2,
    routes: [{ ...route, scope: "global", onlink: true }],
  };
  for (const each of [former, network])
    assert.deepEqual(decodeRecord("s1", encodeRecord({ ...record, network: each })).network, each);
});

test("a record of the former version is converted, with its VM's name and its disks' targets", () => {
  const { vm, operations: _, ...rest } = JSON.parse(encodeRecord(record));
  const containers = rest.containers.map(({ targets: _targets, ...each }: object & { targets: object }) => ({
    ...each,
    index: 3,
  }));
  const former = JSON.stringify({ ...rest, schema: 1, slot: 5, containers });
  const read = decodeRecord("s1", former);
  const [container] = read.containers;
  assert.notEqual(read.vm.id, vm.id);
  assert.deepEqual(read.vm, { id: hostName("s1"), slot: 5 });
  assert.deepEqual(container?.targets, { image: 6, layer: 7 });
  assert.deepEqual(read.operations, []);
  assert.deepEqual(read.phase, record.phase);
  const { schema } = JSON.parse(encodeRecord(read));
  assert.equal(schema, 2);
});

test("a file of the former version is opened, and an unreadable record still names its VM", () => {
  const file = newFile();
  {
    using database = new DatabaseSync(file);
    database.exec(`
      CREATE TABLE sandbox (id TEXT PRIMARY KEY, version INTEGER NOT NULL, record TEXT NOT NULL) STRICT;
      CREATE TABLE journal (position INTEGER PRIMARY KEY, sandbox TEXT, scope TEXT, step TEXT) STRICT;
      INSERT INTO sandbox VALUES ('s1', 1, '{')`);
  }
  using store = new NodeStore(file);
  const [loaded] = store.loadSandboxes();
  assert.ok(loaded?.kind === "corrupt");
  assert.equal(loaded.vmId, hostName("s1"));
  store.commit({ record: recordOf("s2", { kind: "ready" }) });
  assert.equal(store.loadSandboxes().length, 2);
});

test("a text that is truncated, changed, or of another schema or sandbox is RECORD_CORRUPT", () => {
  const text = encodeRecord(record);
  const broken = [
    text.slice(0, 50),
    "",
    "null",
    "[]",
    text.replace('"schema":2', '"schema":3'),
    text.replace('"running"', '"flying"'),
    text.replace('"pid":1', '"pid":"1"'),
    text.replace('"sandboxId":"s1"', '"sandboxId":"s2"'),
    text.replace('"phase"', '"fase"'),
  ];
  for (const each of broken)
    assert.throws(() => decodeRecord("s1", each), { reason: "RECORD_CORRUPT" }, each);
});

test("the next process reads a commit with its events", () => {
  const file = newFile();
  {
    using store = new NodeStore(file);
    store.commit({ record, events: [new Uint8Array([1])] });
  }
  using store = new NodeStore(file);
  assert.deepEqual(store.loadSandboxes(), [{ kind: "record", record }]);
  assert.deepEqual(
    store.outbox(10).map(({ event }) => [...event]),
    [[1]],
  );
});

test("only its owner may read the file, which contains data of tenants", () => {
  const file = newFile();
  using _store = new NodeStore(file);
  assert.equal(statSync(file).mode & 0o777, 0o600);
});

test("a row that cannot be read is reported and the others are loaded", () => {
  const file = newFile();
  using store = new NodeStore(file);
  store.commit({ record });
  store.commit({ record: recordOf("s2", { kind: "ready" }) });
  {
    using database = new DatabaseSync(file);
    database.exec("UPDATE sandbox SET record = '{' WHERE id = 's1'");
  }
  assert.deepEqual(
    store.loadSandboxes().map(({ kind }) => kind),
    ["corrupt", "record"],
  );
});

test("an outcome is kept with its digest for one day", () => {
  let now = 0;
  using store = new NodeStore(newFile(), () => now);
  store.begin("r1", "d1");
  assert.deepEqual(store.find("r1"), { digest: "d1", outcome: undefined });
  store.finish("r1", new Uint8Array([7]));
  assert.deepEqual(store.find("r1")?.outcome, new Uint8Array([7]));
  now = 25 * 60 * 60 * 1000;
  for (let request = 0; request < 1000; request++) store.begin(`other ${request}`, "d");
  assert.equal(store.find("r1"), undefined);
});

test("removing a sandbox records the outcome of the request in the same transaction", () => {
  using store = new NodeStore(newFile());
  store.commit({ record });
  store.begin("r1", "d1");
  store.removeSandbox("s1", { requestId: "r1", bytes: new Uint8Array([1]) });
  assert.deepEqual(store.loadSandboxes(), []);
  assert.deepEqual(store.find("r1")?.outcome, new Uint8Array([1]));
});

test("published events leave the outbox, in order", () => {
  using store = new NodeStore(newFile());
  store.commit({ record, events: [new Uint8Array([1]), new Uint8Array([2]), new Uint8Array([3])] });
  const [first, second] = store.outbox(2);
  store.published(second?.position ?? 0);
  assert.deepEqual(
    store.outbox(10).map(({ event }) => [...event]),
    [[3]],
  );
  assert.ok(first !== undefined);
});

test("a full outbox drops its oldest events, and reports how many", () => {
  const dropped: number[] = [];
  const onEventsDropped = (count: number) => void dropped.push(count);
  using store = new NodeStore(newFile(), Date.now, { outboxMaxEvents: 10, onEventsDropped });
  for (let event = 1; event <= 12; event++) store.commit({ record, events: [new Uint8Array([event])] });
  const kept = store.outbox(100).map(({ event }) => event[0]);
  assert.deepEqual(kept, [3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  assert.equal(
    dropped.reduce((a, b) => a + b),
    2,
  );
});

test("the last events of a removed sandbox are committed with its removal", () => {
  using store = new NodeStore(newFile());
  store.commit({ record });
  store.removeSandbox("s1", undefined, [new Uint8Array([9])]);
  assert.deepEqual(
    store.outbox(10).map(({ event }) => [...event]),
    [[9]],
  );
});

test("a state directory belongs to one daemon, until it exits or is killed", async () => {
  const file = newFile();
  const holder = `
    const { lockState } = await import(${JSON.stringify(import.meta.resolve("./state-lock.ts"))});
    globalThis.held = lockState(${JSON.stringify(file)});
    console.log("locked");
    setInterval(() => {}, 1000);
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", holder], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    await once(child.stdout, "data");
    assert.throws(() => lockState(file), { reason: "NODE_UNAVAILABLE" });
  } finally {
    child.kill("SIGKILL");
  }
  await once(child, "exit");
  using _lock = lockState(file);
});

test("a process that is killed between two commits loses neither", async () => {
  const file = newFile();
  const writer = `
    const { NodeStore } = await import(${JSON.stringify(import.meta.resolve("./node-store.ts"))});
    const { recordOf } = await import(${JSON.stringify(import.meta.resolve("../testing/record-of.ts"))});
    const store = new NodeStore(${JSON.stringify(file)});
    const record = recordOf("s1", { kind: "ready" });
    for (let version = 1; ; version++) {
      store.commit({ record: { ...record, version }, events: [new Uint8Array([version])] });
      console.log(version);
      await new Promise((resolve) => setImmediate(resolve));
    }
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", writer], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let told = "";
  child.stdout.on("data", (chunk: Buffer) => {
    told += chunk.toString();
    if (told.split("\n").length > 20) child.kill("SIGKILL");
  });
  await once(child, "close");
  const last = Number(told.trim().split("\n").at(-1));
  using store = new NodeStore(file);
  const [loaded] = store.loadSandboxes();
  assert.ok(loaded?.kind === "record" && loaded.record.version >= last, "reported commits were kept");
  assert.equal(store.outbox(1_000_000).length, loaded.record.version, "a record and its event come together");
});

test("on a full disk many writes succeed, then they throw NO_DISK_SPACE; with room they succeed again", () => {
  const disk = join(directory, "disk");
  mkdirSync(disk);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=16m", "tmpfs", disk]);
  try {
    using store = new NodeStore(join(disk, "node.db"));
    const ballast = join(disk, "ballast");
    assert.throws(() => writeFileSync(ballast, Buffer.alloc(32 << 20)), { code: "ENOSPC" });
    // More than the log's size before it restarts.
    for (let version = 1; version <= 2000; version++) store.commit({ record: { ...record, version } });
    const grow = (by: number) => {
      for (let more = 0; more < by; more++) store.commit({ record, events: [new Uint8Array(64 << 10)] });
    };
    grow(20);
    assert.throws(() => grow(1000), { reason: "NO_DISK_SPACE" });
    rmSync(ballast);
    grow(20);
  } finally {
    execFileSync("umount", [disk]);
  }
});

test("an unfinished reserve of a daemon that died is removed", () => {
  const file = newFile();
  new NodeStore(file)[Symbol.dispose]();
  using database = new DatabaseSync(file);
  database.exec("INSERT INTO reserve (filler) VALUES (zeroblob(100000))");
  using _store = new NodeStore(file);
  assert.deepEqual(database.prepare("SELECT count(*) AS rows FROM reserve").get(), {
    __proto__: null,
    rows: 0,
  });
});

test("only data that must survive a crash of the host waits for the disk", (t) => {
  using store = new NodeStore(newFile());
  const syncs = countSyncs(t);
  const costOf = (write: () => void): number => {
    const before = syncs();
    write();
    return syncs() - before;
  };
  const events = [new Uint8Array([1])];
  const outcome = { requestId: "r1", bytes: new Uint8Array([1]) };
  const costs = {
    "a request has begun": costOf(() => store.begin("r1", "d1")),
    "a provisional record": costOf(() => store.commit({ record, provisional: true })),
    "a record, its events and the success of its request": costOf(() =>
      store.commit({ record, events, outcome }),
    ),
    "a success that is recorded already": costOf(() => store.finish("r1", outcome.bytes)),
    "another success": costOf(() => store.finish("r1", new Uint8Array([2]))),
    "a success that a record proves": costOf(() => store.finish("r1", new Uint8Array([3]), true)),
    "an event was published": costOf(() => store.published(1)),
    "the end of a sandbox": costOf(() => store.removeSandbox("s1", outcome, events)),
  };
  assert.deepEqual(costs, {
    "a request has begun": 0,
    "a provisional record": 0,
    "a record, its events and the success of its request": 1,
    "a success that is recorded already": 0,
    "another success": 1,
    "a success that a record proves": 0,
    "an event was published": 0,
    "the end of a sandbox": 1,
  });
});
