import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { startNats } from "../../../test/harness/nats.ts";
import { Bus, type BusEvent } from "./bus.ts";
import { logBusEvents } from "./bus-event-log.ts";
import { eventually } from "./testing/eventually.ts";

const directory = mkdtempSync(join(tmpdir(), "reconnect-"));
const configFile = join(directory, "server.conf");
let nats: Awaited<ReturnType<typeof startNats>>;
const logFile = join(directory, "server.log");
const password = (text: string) =>
  writeFileSync(configFile, `log_file: "${logFile}"\nauthorization { user: node, password: "${text}" }\n`);
/** How often the server has written a text. */
const written = (text: string) => readFileSync(logFile, "utf8").split(text).length - 1;
const REFUSED = "authentication error";

before(async () => {
  password("right-password");
  nats = await startNats(directory, -1, { configFile });
});
after(async () => {
  await nats.stop();
  rmSync(directory, { recursive: true });
});

/** A server that reloads its configuration disconnects clients that are no longer authorized. */
async function reload(text: string): Promise<void> {
  const before = written("Reloaded server configuration");
  password(text);
  process.kill(nats.pid, "SIGHUP");
  await eventually(() => assert.ok(written("Reloaded server configuration") > before));
}
const address = () => nats.url.replace("//", "//node:right-password@");

test("a bus connects after many refusals once its password is correct again", async () => {
  await using bus = new Bus({ url: address(), name: "refused" });
  await bus.ready;
  await reload("another-password");
  await eventually(() => assert.equal(bus.connected, false));
  // With the client library alone the second refusal would be final.
  const before = written(REFUSED);
  await eventually(() => assert.ok(written(REFUSED) >= before + 4));
  assert.equal(bus.connected, false);
  await reload("right-password");
  await eventually(() => assert.equal(bus.connected, true));
  await bus.connection().flush();
});

test("a bus with a wrong password is ready when the server accepts it", async () => {
  await reload("another-password");
  await using bus = new Bus({ url: address(), name: "early" });
  const before = written(REFUSED);
  await eventually(() => assert.ok(written(REFUSED) >= before + 2));
  assert.equal(bus.connected, false);
  await reload("right-password");
  await bus.ready;
  await bus.connection().flush();
});

test("a closed connection is replaced by a new one, and subscribers get it", async () => {
  await using bus = new Bus({ url: address(), name: "closed" });
  await bus.ready;
  let connections = 0;
  bus.onConnection(() => {
    connections += 1;
  });
  const first = bus.connection();
  await first.close();
  await eventually(() => assert.ok(bus.connected && bus.connection() !== first));
  assert.equal(connections, 2);
});

test("a failure is logged once for each cause, with the cause as err and without the password", async () => {
  const lines: { level: string; fields: object; text: string }[] = [];
  const log = {
    info: (fields: object, text: string) => lines.push({ level: "info", fields, text }),
    warn: (fields: object, text: string) => lines.push({ level: "warn", fields, text }),
  };
  const events: BusEvent[] = [];
  await using bus = new Bus({
    url: address(),
    name: "logged",
    onEvent: (event) => {
      events.push(event);
      logBusEvents(log)(event);
    },
  });
  await bus.ready;
  await reload("another-password");
  await eventually(() => assert.equal(bus.connected, false));
  const before = written(REFUSED);
  await eventually(() => assert.ok(written(REFUSED) >= before + 3));
  await reload("right-password");
  await eventually(() => assert.equal(bus.connected, true));
  const failures = events.filter(({ kind }) => kind === "connect-failed");
  assert.equal(failures.length, 1);
  const reported = lines.filter(({ level }) => level === "warn");
  assert.ok(reported.some(({ fields }) => "err" in fields && /authorization/i.test(String(fields.err))));
  for (const { fields, text } of lines) {
    const { err, ...rest } = fields as { err?: Error };
    assert.doesNotMatch(`${text} ${JSON.stringify(rest)} ${err?.stack}`, /password@|right-password/);
  }
});

test("the bus uses the server of its list that answers", async () => {
  await using bus = new Bus({ url: `nats://127.0.0.1:1,${address()}`, name: "second" });
  await bus.ready;
});
