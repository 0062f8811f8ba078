import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { callObserver } from "./call-observer.ts";
import { createLogger, setLogLevel } from "./logger.ts";
import { Metrics } from "./metrics.ts";
import { TELEMETRY_SETTINGS } from "./telemetry-settings.ts";
import { contextOf } from "./trace-headers.ts";
import { beginSpan, startTracing } from "./tracing.ts";

function captured(level: "info" | "debug" = "info") {
  const lines: Record<string, unknown>[] = [];
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) };
  return { lines, log: createLogger({ name: "test", level, destination }) };
}
const call = {
  method: { name: "Exec", parent: { typeName: "paddock.v1.ProcessService" } },
  trace: {},
  requestId: "r",
  peer: "p",
};

test("secrets are redacted at every level of an object", () => {
  const { lines, log } = captured();
  log.info({ env: ["A=hunter2"], process: { env: ["B=hunter2"], spec: { token: "hunter2" } } }, "x");
  assert.ok(!JSON.stringify(lines).includes("hunter2"), JSON.stringify(lines));
});

test("the level changes while the service runs", () => {
  const { lines, log } = captured();
  log.debug("hidden");
  setLogLevel(log, "debug");
  log.debug("shown");
  assert.deepEqual(
    lines.map(({ msg, level }) => [msg, level]),
    [["shown", "debug"]],
  );
  assert.equal(TELEMETRY_SETTINGS.PADDOCK_LOG_LEVEL.parse("verbose"), undefined);
});

test("calls are counted by method and code, and are in flight until they end", async () => {
  const metrics = new Metrics();
  const { lines, log } = captured();
  const observed = callObserver(log, metrics)(call);
  assert.match((await metrics.expose()).text, /rpc_server_calls_in_flight\{method="[^"]*Exec"\} 1/);
  observed.end("NOT_FOUND");
  const { text, contentType } = await metrics.expose();
  assert.match(text, /rpc_server_calls_in_flight\{method="[^"]*Exec"\} 0/);
  assert.match(text, /duration_seconds_count\{method="paddock.v1.ProcessService\/Exec",code="NOT_FOUND"\} 1/);
  assert.match(text, /nodejs_eventloop_lag_seconds/);
  assert.match(contentType, /text\/plain/);
  assert.equal(lines.length, 0, "an error of the client is not logged at info");
  callObserver(log, metrics)(call).end("INTERNAL");
  assert.deepEqual(
    lines.map(({ level }) => level),
    ["warn"],
  );
});

test("without an endpoint the SDK is not loaded, and a caller's trace is passed on unchanged", async () => {
  await startTracing({ serviceName: "t", endpoint: undefined });
  const parent = { traceparent: `00-${"a".repeat(32)}-${"b".repeat(16)}-01`, tracestate: "x=y" };
  assert.deepEqual(beginSpan("s", "server", parent).headers, parent);
  assert.equal(contextOf({ traceparent: "rubbish" }), contextOf({}));
});

test("with an endpoint a span is a child of the caller's span, and its headers contain its id", () => {
  const script = `
    const { beginSpan, startTracing } = await import(${JSON.stringify(new URL("./tracing.ts", import.meta.url).href)});
    const tracing = await startTracing({ serviceName: "t", endpoint: process.env.OTEL_EXPORTER_OTLP_ENDPOINT });
    const span = beginSpan("s", "server", { traceparent: "00-" + "a".repeat(32) + "-" + "b".repeat(16) + "-01" });
    console.log(JSON.stringify(span.headers));
    span.end();
    process.exit(0);
  `;
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
    env: { ...process.env, OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9" },
    encoding: "utf8",
    timeout: 30_000,
  });
  assert.match(stdout, /"traceparent":"00-a{32}-(?!b{16})[0-9a-f]{16}-01"/, stderr);
});
