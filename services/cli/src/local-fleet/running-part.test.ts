import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { planNetwork } from "@paddock/network";
import pc from "picocolors";
import { CliError } from "../cli-error.ts";
import { BoundedLog } from "./bounded-log.ts";
import { lockFleet } from "./fleet-lock.ts";
import { fleetNetwork } from "./fleet-network.ts";
import { readFleetRecord, writeFleetRecord } from "./fleet-record.ts";
import { apiEnv, newBusAccess, nodeEnv, writeBusConfig, writeStreamSecret } from "./fleet-settings.ts";
import { logLine } from "./log-line.ts";
import { RunningPart } from "./running-part.ts";

const directory = await mkdtemp(join(tmpdir(), "paddock-fleet-"));
after(() => rm(directory, { recursive: true }));

const part = (name: string, script: string) =>
  new RunningPart({
    name: "api",
    title: "api",
    command: "/bin/sh",
    args: ["-c", script],
    env: {},
    logPath: join(directory, `${name}.log`),
  });

test("a part is ready when it reports so on its pipe, and stops on SIGTERM", async () => {
  const running = part("ready", `echo starting; echo '{"grpcAddress":"127.0.0.1:5"}' >&3; exec sleep 60`);
  assert.deepEqual(await running.readyLine(10_000), { grpcAddress: "127.0.0.1:5" });
  assert.ok(running.identity);
  await running.stop(10_000);
  assert.equal(running.isEnded, true);
});

test("a part that exits before it is ready fails with the end of its log", async () => {
  const running = part("dying", "for i in $(seq 40); do echo line $i; done; echo no port >&2; exit 78");
  const error = await running.readyLine(10_000).catch((thrown: unknown) => thrown);
  assert.ok(error instanceof CliError);
  assert.equal(error.message, "the api exited with code 78");
  assert.ok(error.details.length <= 15 && error.details.some((line) => line.includes("no port")));
  assert.match(error.hint ?? "", /dying\.log$/);
});

test("a part whose port is in use fails with the number of the port", async () => {
  const running = part(
    "taken",
    "echo 'listen EADDRINUSE: address already in use 127.0.0.1:7070' >&2; exit 1",
  );
  const error = await running.readyLine(10_000).catch((thrown: unknown) => thrown);
  assert.ok(error instanceof CliError);
  assert.match(error.hint ?? "", /^127\.0\.0\.1:7070 is in use; .*choose another port/);
});

test("a part that is not ready in time fails with that time", async () => {
  const running = part("slow", "exec sleep 60");
  await assert.rejects(running.readyLine(100), /the api was not ready after 100 ms/);
  await running.stop(10_000);
});

test("a part that cannot be started fails with the reason", async () => {
  const running = new RunningPart({
    name: "bus",
    title: "NATS server",
    command: join(directory, "no-such-program"),
    args: [],
    env: {},
    logPath: join(directory, "none.log"),
  });
  await assert.rejects(running.readyLine(5000), /the NATS server could not be started: .*ENOENT/);
});

test("a part that ignores SIGTERM is killed", async () => {
  const running = part("stubborn", `trap '' TERM; echo '{}' >&3; while :; do sleep 0.05; done`);
  await running.readyLine(10_000);
  await running.stop(200);
  assert.equal(await running.ended, "was killed by SIGKILL");
});

test("a log never has more than two files", async () => {
  const path = join(directory, "bounded.log");
  const log = new BoundedLog(path, 1000);
  for (let i = 0; i < 100; i += 1) log.write(Buffer.from(`${"x".repeat(98)}\n`));
  log.close();
  assert.ok((await stat(path)).size <= 1000);
  assert.ok((await stat(`${path}.1`)).size <= 1000);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
});

test("the bus listens on loopback with a password that only root can read", async () => {
  const settings = { stateDir: directory, ports: { bus: 0, api: 0, http: 0, stream: 0 }, env: {} };
  const access = newBusAccess();
  writeBusConfig(settings, access);
  const { password } = access;
  const text = await readFile(join(directory, "bus.conf"), "utf8");
  assert.match(text, /^host: 127\.0\.0\.1\nport: -1\n/);
  assert.ok(text.includes(password) && password.length >= 32);
  assert.equal((await stat(join(directory, "bus.conf"))).mode & 0o777, 0o600);
  assert.notEqual(newBusAccess().password, password);
  writeBusConfig({ ...settings, ports: { ...settings.ports, bus: 4222 } }, access);
  assert.match(await readFile(join(directory, "bus.conf"), "utf8"), /^host: 127\.0\.0\.1\nport: 4222\n/);
});

test("each daemon gets only the settings that it accepts", () => {
  const env = {
    PATH: "/bin",
    PADDOCK_API: "x",
    PADDOCK_STATE_DIR: "/s",
    PADDOCK_API_TOKEN_FILE: "/t",
    PADDOCK_ACCELERATOR: "tcg",
  };
  const settings = { stateDir: "/s", ports: { bus: 1, api: 2, http: 3, stream: 4 }, env };
  assert.deepEqual(apiEnv(settings, "nats://x"), {
    PATH: "/bin",
    PADDOCK_API_TOKEN_FILE: "/t",
    PADDOCK_API_GRPC_ADDRESS: "127.0.0.1:2",
    PADDOCK_API_HTTP_ADDRESS: "127.0.0.1:3",
    PADDOCK_STREAM_SECRET_FILE: "/s/stream.secret",
    PADDOCK_NATS_URL: "nats://x",
  });
  assert.deepEqual(nodeEnv(settings, "nats://x"), {
    PATH: "/bin",
    PADDOCK_ACCELERATOR: "tcg",
    PADDOCK_NETWORK_BRIDGE: "paddock31",
    PADDOCK_NETWORK_IPV4: "10.214.49.0/24",
    PADDOCK_NETWORK_IPV6: "fd5a:9c1d:7b3f:31::/64",
    PADDOCK_STATE_DIR: "/s/node",
    PADDOCK_NODE_STREAM_ADDRESS: "127.0.0.1:4",
    PADDOCK_STREAM_SECRET_FILE: "/s/stream.secret",
    PADDOCK_NATS_URL: "nats://x",
  });
});

test("a fleet in another directory has a network of its own, unless the operator has set it", () => {
  assert.deepEqual(fleetNetwork("/var/lib/paddock", {}), {});
  assert.deepEqual(fleetNetwork("/s", { PADDOCK_NETWORK_IPV4: "10.1.0.0/24" }), {});
  const [one, other] = [fleetNetwork("/srv/one", {}), fleetNetwork("/srv/other", {})];
  assert.notEqual(one.PADDOCK_NETWORK_BRIDGE, other.PADDOCK_NETWORK_BRIDGE);
  assert.notEqual(one.PADDOCK_NETWORK_IPV4, other.PADDOCK_NETWORK_IPV4);
  for (const each of [one, other])
    planNetwork({
      bridge: each.PADDOCK_NETWORK_BRIDGE ?? "",
      mtu: 1500,
      v4: each.PADDOCK_NETWORK_IPV4 ?? "",
      v6: each.PADDOCK_NETWORK_IPV6,
    });
});

test("the daemons share a secret that only root can read, new at each start, unless their settings name other credentials", async () => {
  const settings = { stateDir: directory, ports: { bus: 0, api: 0, http: 0, stream: 0 }, env: {} };
  const path = join(directory, "stream.secret");
  await writeFile(path, "left behind", { mode: 0o644 });
  writeStreamSecret(settings);
  const secret = await readFile(path, "utf8");
  assert.match(secret, /^[0-9a-f]{64}\n$/);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  writeStreamSecret(settings);
  assert.notEqual(await readFile(path, "utf8"), secret);
  const env = { PADDOCK_STREAM_TLS_CERT_FILE: "/c" };
  for (const envOf of [apiEnv, nodeEnv]) {
    assert.equal(envOf(settings, "nats://x").PADDOCK_STREAM_SECRET_FILE, path);
    const own = envOf({ ...settings, env }, "nats://x");
    assert.deepEqual([own.PADDOCK_STREAM_TLS_CERT_FILE, own.PADDOCK_STREAM_SECRET_FILE], ["/c", undefined]);
  }
});

test("a state directory is locked by one living process at a time", async () => {
  const stateDir = join(directory, "locked");
  const unlock = lockFleet(stateDir);
  assert.throws(() => lockFleet(stateDir), /another "paddock up" runs in/);
  unlock();
  await writeFile(
    join(stateDir, "up.lock"),
    JSON.stringify({ pid: process.pid, startTicks: "1", bootId: "gone" }),
  );
  lockFleet(stateDir)();
});

test("the record of a fleet is read back as written, and a broken record is ignored", async () => {
  const identity = { pid: 1, startTicks: "2", bootId: "b" };
  const ports = { bus: 1, api: 2, http: 3, stream: 4 };
  const addresses = { apiAddress: "127.0.0.1:2", httpAddress: "127.0.0.1:3", nodeId: "n" };
  const record = {
    version: 1,
    ...addresses,
    supervisor: identity,
    parts: [{ name: "bus", identity }],
    ports,
  } as const;
  writeFleetRecord(directory, record);
  assert.deepEqual(readFleetRecord(directory), record);
  assert.equal(readFleetRecord(join(directory, "none")), undefined);
});

test("a log line of a daemon is shown with its time, level and fields", () => {
  const colors = pc.createColors(false);
  const line = JSON.stringify({
    level: 40,
    time: 0,
    pid: 3,
    hostname: "h",
    msg: "slow \x1b[2J",
    sandboxId: "web",
    ms: 7,
  });
  assert.equal(logLine("node", line, colors), "00:00:00.000 node warn  slow \\x1b[2J sandboxId=web ms=7");
  const named = JSON.stringify({ level: "info", time: "2026-01-01T10:20:30.456Z", msg: "up" });
  assert.equal(logLine("api", named, colors), "10:20:30.456 api  info  up");
  const failed = JSON.stringify({
    level: "fatal",
    time: 0,
    msg: "no",
    err: { message: "why", stack: "at …" },
  });
  assert.equal(logLine("node", failed, colors), "00:00:00.000 node fatal no err=why");
  assert.equal(logLine("bus", "[1] plain", colors), "bus  [1] plain");
});
