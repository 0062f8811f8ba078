import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { Bus, EventStream } from "@paddock/bus";
import { EventSchema, EventService, type WatchResponse } from "@paddock/protocol";
import { GrpcConnection } from "@paddock/rpc";
import { createLogger } from "@paddock/telemetry";
import { type NatsServer, startNats } from "../../../test/harness/nats.ts";
import { startApp } from "./app.ts";
import { parseConfig } from "./config.ts";
import { ApiBench, caught, eventually, streamSecretFile } from "./testing/api-bench.ts";

let directory: string;
let nats: NatsServer;
let bench: ApiBench;
let bus: Bus;
let stream: EventStream;

before(async () => {
  directory = mkdtempSync(join(tmpdir(), "watch-"));
  nats = await startNats(directory);
  bench = await ApiBench.start(async () => ({ url: nats.url, stop: async () => {}, kill: async () => {} }));
  bus = new Bus({ url: nats.url, name: "test" });
  stream = new EventStream(bus);
  await bus.ready;
});
after(async () => {
  await bench[Symbol.asyncDispose]();
  await bus.close();
  await nats.stop();
  rmSync(directory, { recursive: true });
});

const service = () => bench.connection.service(EventService);
const ids = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, index) => `${prefix}${index}`);

async function publish(eventId: string, sandboxId = "s1"): Promise<void> {
  const nodeId = "n1";
  const bytes = toBinary(EventSchema, create(EventSchema, { eventId, nodeId, sandboxId }));
  await stream.publish({ eventId, nodeId, sandboxId, bytes });
}

/** Another api, connected. */
async function anotherApi() {
  const config = parseConfig({
    PADDOCK_NATS_URL: nats.url,
    PADDOCK_API_GRPC_ADDRESS: "127.0.0.1:0",
    PADDOCK_API_HTTP_ADDRESS: "127.0.0.1:0",
    PADDOCK_STREAM_SECRET_FILE: streamSecretFile(directory),
  });
  const log = createLogger({ name: "other", level: "info", destination: { write: () => {} } });
  const other = await startApp(config, { log, drainMs: 10 });
  const connection = new GrpcConnection(other.grpcAddress);
  await eventually(() => until(connection.service(EventService).watch({}), "."));
  return { other, connection };
}

type Watch = { seen: string[]; token: string };

/** Reads responses until one has this event, or "." for a bookmark. Then cancels the watch. */
async function until(
  responses: AsyncIterable<WatchResponse>,
  last: string,
  onResponse: (watch: Watch) => Promise<void> = async () => {},
): Promise<Watch> {
  const watch: Watch = { seen: [], token: "" };
  for await (const { event, resumeToken } of responses) {
    watch.token = resumeToken;
    watch.seen.push(event?.eventId ?? ".");
    await onResponse(watch);
    if (watch.seen.at(-1) === last) return watch;
  }
  throw new Error(`the watch ended after ${watch.seen.join(" ")}`);
}
const events = ({ seen }: Watch) => seen.filter((id) => id !== ".");

test("a watch without a token starts now, and can be resumed from its first bookmark", async () => {
  await publish("a0");
  const first = await until(service().watch({}), ".");
  assert.deepEqual(first.seen, ["."]);
  await publish("a1");
  await publish("a2");
  const resumed = await until(service().watch({ resumeToken: first.token }), "a2");
  assert.deepEqual(events(resumed), ["a1", "a2"]);
});

test("a token of any event works for another client at another api", async () => {
  const { token } = await until(service().watch({}), ".");
  for (const id of ids("b", 10)) await publish(id);
  const half = await until(service().watch({ resumeToken: token }), "b4");
  const { other, connection } = await anotherApi();
  try {
    const rest = await until(connection.service(EventService).watch({ resumeToken: half.token }), "b9");
    assert.deepEqual([...events(half), ...events(rest)], ids("b", 10));
  } finally {
    connection.close();
    await other.stop();
  }
});

test("a watch of a sandbox delivers events of that sandbox only", async () => {
  const { token } = await until(service().watch({}), ".");
  await publish("c1", "mine");
  await publish("c2", "other");
  await publish("c3", "mine");
  const watch = await until(service().watch({ resumeToken: token, sandboxId: "mine" }), ".");
  assert.deepEqual(watch.seen, ["c1", "c3", "."]);
});

test("killing NATS during a watch loses and repeats no event", async () => {
  const expected = ids("d", 40);
  const publishAll = async () => {
    for (const [index, id] of expected.entries()) {
      if (index === 20) {
        const port = Number(new URL(nats.url).port);
        await nats.kill();
        nats = await startNats(directory, port);
      }
      while (
        !(await publish(id).then(
          () => true,
          () => false,
        ))
      )
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  let publishing: Promise<void> | undefined;
  const watch = await until(service().watch({}), "d39", async () => {
    publishing ??= publishAll();
  });
  await publishing;
  assert.deepEqual(events(watch), expected);
});

test("a client that does not read for a while misses no event", async () => {
  const { token } = await until(service().watch({}), ".");
  const expected = ids("e", 1500);
  await Promise.all(expected.map((id) => publish(id)));
  let stalled = false;
  const watch = await until(service().watch({ resumeToken: token }), "e1499", async () => {
    if (stalled) return;
    stalled = true;
    await new Promise((resolve) => setTimeout(resolve, 300));
  });
  assert.equal(events(watch).length, 1500);
  assert.equal(new Set(watch.seen).size, 1501 - (watch.seen.includes(".") ? 0 : 1));
});

test("events also stream over Connect", async () => {
  const { token } = await until(service().watch({}), ".");
  await publish("f1");
  const baseUrl = `http://${bench.app.httpAddress}`;
  const client = createClient(EventService, createConnectTransport({ baseUrl, httpVersion: "1.1" }));
  const watch = await until(client.watch({ resumeToken: token }), "f1");
  assert.deepEqual(watch.seen, ["f1"]);
});

test("a made-up token is INVALID_ARGUMENT and names the field", async () => {
  for (const resumeToken of [
    "x",
    "1",
    "1AAAA",
    `1${Buffer.from("2026-01-01T00:00:00Z -1").toString("base64url")}`,
  ]) {
    const error = await caught(until(service().watch({ resumeToken }), "."));
    assert.equal(error.kind, "invalid_argument");
    assert.equal(error.violations[0]?.field, "resume_token");
  }
});

test("a token of a lost stream is OUT_OF_RANGE, with a hint", async () => {
  const text = `1${Buffer.from("2020-01-01T00:00:00.5Z 3").toString("base64url")}`;
  const error = await caught(until(service().watch({ resumeToken: text }), "."));
  assert.equal(error.kind, "out_of_range");
  assert.equal(error.reason, "EVENTS_NOT_HELD");
  assert.match(error.hint ?? "", /list/);
});

test("a watch at an api that shuts down fails with SHUTTING_DOWN and does not end normally", async () => {
  const { other, connection } = await anotherApi();
  let stopping: Promise<void> | undefined;
  const watch = until(connection.service(EventService).watch({}), "never", async () => {
    stopping ??= other.stop();
  });
  const error = await caught(watch);
  assert.equal(error.reason, "SHUTTING_DOWN");
  await stopping;
  connection.close();
});
