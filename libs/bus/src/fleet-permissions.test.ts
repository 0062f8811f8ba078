/** The server of deploy/nats/nats-server.conf, and the permissions of an api and two nodes on it. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { headers } from "@nats-io/transport-node";
import { EventSchema, nodepb, StatusSchema } from "@paddock/protocol";
import { makeAuthority, makeCertificate } from "../../../test/harness/certificates.ts";
import { type NatsServer, startNats } from "../../../test/harness/nats.ts";
import { Bus, type BusEvent } from "./bus.ts";
import { readEvents } from "./event-reader.ts";
import { EventStream } from "./event-stream.ts";
import { NodeView, putHeartbeat } from "./node-registry.ts";
import { PlacementRegistry } from "./placement-registry.ts";
import { requestCommand } from "./request-command.ts";
import { serveCommands } from "./serve-commands.ts";
import { API_INBOX_PREFIX, commandSubject, nodeInboxPrefix } from "./subjects.ts";
import { eventually } from "./testing/eventually.ts";

const directory = mkdtempSync(join(tmpdir(), "fleet-"));
const PASSWORDS = { api: "a-password", "host-1": "one-password", "host-2": "two-password" };
type User = keyof typeof PASSWORDS;
const refusals: Record<User, string[]> = { api: [], "host-1": [], "host-2": [] };
let nats: NatsServer;
let api: Bus;
let host1: Bus;
let host2: Bus;

before(async () => {
  const authority = makeAuthority(directory);
  const { cert, key } = makeCertificate(directory, "server", authority, "IP:127.0.0.1");
  nats = await startNats(directory, -1, {
    jetstream: false,
    configFile: resolve(import.meta.dirname, "../../../deploy/nats/nats-server.conf"),
    env: {
      NATS_SERVER_NAME: "bus-1",
      NATS_STORE_DIR: join(directory, "store"),
      NATS_CERT_FILE: cert,
      NATS_KEY_FILE: key,
      API_PASSWORD: PASSWORDS.api,
      HOST_1_PASSWORD: PASSWORDS["host-1"],
      HOST_2_PASSWORD: PASSWORDS["host-2"],
    },
  });
  const connect = async (user: User, inboxPrefix: string) => {
    const { host } = new URL(nats.url);
    const onEvent = (event: BusEvent) => event.kind === "refused" && refusals[user].push(String(event.err));
    const url = `tls://${user}:${PASSWORDS[user]}@${host}`;
    const bus = new Bus({ url, name: user, inboxPrefix, files: { ca: authority.cert }, onEvent });
    await bus.ready;
    return bus;
  };
  api = await connect("api", API_INBOX_PREFIX);
  host1 = await connect("host-1", nodeInboxPrefix("host-1"));
  host2 = await connect("host-2", nodeInboxPrefix("host-2"));
});
after(async () => {
  await Promise.all([api, host1, host2].map((bus) => bus?.close()));
  await nats?.stop();
  rmSync(directory, { recursive: true });
});

const event = (nodeId: string, eventId: string) => ({
  eventId,
  nodeId,
  sandboxId: "s.1",
  bytes: toBinary(EventSchema, create(EventSchema, { eventId })),
});
const serve = (bus: Bus, nodeId: string) =>
  serveCommands(bus, nodeId, async () => Buffer.from(nodeId), {
    limits: { perKind: 4, perSandbox: 4 },
    kindOf: () => "reads",
    toStatus: () => create(StatusSchema, { code: 13 }),
  });
const ask = (bus: Bus, nodeId: string) =>
  requestCommand(
    bus,
    nodeId,
    create(nodepb.CommandRequestSchema, { method: "s/M", requestId: "r", sandboxId: "s" }),
    { deadline: new Date(Date.now() + 5_000) },
  );

test("an api and two nodes can do all their work without a refusal", async () => {
  await using nodes = new NodeView(api);
  await using placements = new PlacementRegistry(api);
  const events = new EventStream(api);
  await eventually(() => assert.ok(nodes.isFilled && placements.isFilled));
  await events.open();
  const { streamCreated } = await events.extent();
  for (const [bus, nodeId] of [
    [host1, "host-1"],
    [host2, "host-2"],
  ] as const) {
    await putHeartbeat(bus, create(nodepb.HeartbeatSchema, { node: { nodeId } }));
    const stream = new EventStream(bus);
    await stream.publish(event(nodeId, `of-${nodeId}`));
    assert.equal(await stream.lastIdOf(nodeId, "s.1"), `of-${nodeId}`);
    assert.equal(await stream.lastIdOf(nodeId, "unknown"), undefined);
    const server = serve(bus, nodeId);
    await bus.connection().flush();
    for (const _ of [1, 2]) {
      const { outcome } = await ask(api, nodeId);
      assert.equal(outcome.case === "response" && Buffer.from(outcome.value).toString(), nodeId);
    }
    await server.stop(1_000);
  }
  await eventually(() =>
    assert.deepEqual(
      nodes.all().map(({ nodeId }) => nodeId),
      ["host-1", "host-2"],
    ),
  );
  const { placed } = await placements.claim(
    create(nodepb.PlacementSchema, { sandboxId: "s", nodeId: "host-1" }),
  );
  assert.equal((await placements.read("s"))?.placement.nodeId, "host-1");
  assert.equal(await placements.release(placed), true);
  const seen: string[] = [];
  const signal = AbortSignal.timeout(20_000);
  for await (const { event: reported } of readEvents(events, { streamCreated, sequence: 0 }, { signal })) {
    if (reported !== undefined) seen.push(reported.eventId);
    if (seen.length === 2) break;
  }
  assert.deepEqual(seen, ["of-host-1", "of-host-2"]);
  assert.deepEqual(refusals, { api: [], "host-1": [], "host-2": [] });
});

const SUBSCRIPTIONS: readonly [string, string][] = [
  ["another node's commands", commandSubject("host-2")],
  ["every node's commands", "paddock.v1.node.*.cmd"],
  ["another node's replies", `${nodeInboxPrefix("host-2")}.>`],
  ["the api's replies", `${API_INBOX_PREFIX}.>`],
  ["the replies of clients without a prefix", "_INBOX.>"],
  ["everything", ">"],
  ["heartbeats", "$KV.paddock_nodes.>"],
  ["placements", "$KV.paddock_sandboxes.>"],
  ["another node's events", "paddock.v1.evt.host-2.*"],
];
for (const [what, subject] of SUBSCRIPTIONS)
  test(`a node cannot receive ${what}`, async () => {
    const refused = Promise.withResolvers<Error | null>();
    host1.connection().subscribe(subject, { callback: (error) => refused.resolve(error) });
    await host1.connection().flush();
    assert.match(String(await refused.promise), /Permissions Violation for Subscription/);
  });

const PUBLICATIONS: readonly [string, string][] = [
  ["command another node", commandSubject("host-2")],
  ["cancel a command of another node", "paddock.v1.node.host-2.cancel"],
  ["command itself", commandSubject("host-1")],
  ["write another node's heartbeat", "$KV.paddock_nodes.host-2"],
  ["write a placement", "$KV.paddock_sandboxes.s"],
  ["write another node's events", "paddock.v1.evt.host-2.s"],
  ["answer in the name of another node", `${API_INBOX_PREFIX}.x`],
  ["read heartbeats", "$JS.API.STREAM.MSG.GET.KV_paddock_nodes"],
  ["read placements", "$JS.API.STREAM.MSG.GET.KV_paddock_sandboxes"],
  ["read events of others", "$JS.API.STREAM.MSG.GET.PADDOCK_EVENTS"],
  ["read an event of another node", "$JS.API.DIRECT.GET.PADDOCK_EVENTS.paddock.v1.evt.host-2.s=1"],
  ["read events by their number", "$JS.API.DIRECT.GET.PADDOCK_EVENTS"],
  ["read events through a consumer", "$JS.API.CONSUMER.CREATE.PADDOCK_EVENTS"],
  ["create a stream", "$JS.API.STREAM.CREATE.PADDOCK_EVENTS"],
  ["change a stream", "$JS.API.STREAM.UPDATE.KV_paddock_nodes"],
  ["purge a stream", "$JS.API.STREAM.PURGE.KV_paddock_nodes"],
  ["delete a stream", "$JS.API.STREAM.DELETE.PADDOCK_EVENTS"],
  ["delete a message", "$JS.API.STREAM.MSG.DELETE.PADDOCK_EVENTS"],
  ["list streams", "$JS.API.STREAM.NAMES"],
];
for (const [what, subject] of PUBLICATIONS)
  test(`a node cannot ${what}`, async () => {
    await assert.rejects(host1.connection().request(subject, "{}", { timeout: 5_000 }), (error) => {
      const causes = `${error} ${(error as Error).cause}`;
      assert.match(causes, /Permissions Violation for Publish/);
      return true;
    });
  });

test("a node cannot empty the registry of nodes with a header of its own heartbeat", async () => {
  await putHeartbeat(host2, create(nodepb.HeartbeatSchema, { node: { nodeId: "host-2" } }));
  const rollup = headers();
  rollup.set("Nats-Rollup", "all");
  const answer = await host1
    .connection()
    .request("$KV.paddock_nodes.host-1", "x", { timeout: 5_000, headers: rollup });
  assert.match(answer.string(), /rollup not permitted/);
  await using nodes = new NodeView(api);
  await eventually(() => assert.ok(nodes.isFilled));
  assert.ok(nodes.get("host-2"));
});

for (const request of ["PURGE", "DELETE"])
  test(`the api cannot ${request.toLowerCase()} a stream either`, async () => {
    const subject = `$JS.API.STREAM.${request}.KV_paddock_sandboxes`;
    await assert.rejects(api.connection().request(subject, "", { timeout: 5_000 }), (error) =>
      /Permissions Violation/.test(`${error} ${(error as Error).cause}`),
    );
  });
