import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import {
  type ExecRequestSchema,
  ExecResponseSchema,
  fromConnectError,
  ProcessService,
  ReadLogsResponseSchema,
  SandboxService,
  SystemService,
} from "@paddock/protocol";
import { tlsConnection } from "@paddock/rpc";
import { startNats } from "../../../test/harness/nats.ts";
import { ApiBench, eventually, placeSandbox } from "./testing/api-bench.ts";
import type { FakeNode } from "./testing/fake-node.ts";

let bench: ApiBench;
let n1: FakeNode;
before(async () => {
  bench = await ApiBench.start(startNats);
  n1 = await bench.node("n1");
  await placeSandbox(bench.connection, n1);
});
after(() => bench[Symbol.asyncDispose]());

const url = (path = "") => `http://${bench.app.httpAddress}${path}`;
const post = (method: string, body: unknown, headers: Record<string, string> = {}) =>
  fetch(url(`/paddock.v1.${method}`), {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });

test("Connect JSON over HTTP/1.1 answers, and fails with status and details that fetch can read", async () => {
  const version = await post("SystemService/GetVersion", {});
  assert.deepEqual(((await version.json()) as { apiVersions: string[] }).apiVersions, ["paddock.v1"]);
  const missing = await post("SandboxService/GetSandbox", { sandboxId: "nope" });
  assert.equal(missing.status, 404);
  const error = (await missing.json()) as { code: string; details: { type: string }[] };
  assert.equal(error.code, "not_found");
  assert.equal(error.details[0]?.type, "google.rpc.ErrorInfo");
  const hostile = await post("SandboxService/GetSandbox", { sandboxId: "../x" });
  assert.equal(hostile.status, 400);
});

test("a call that only reads can use GET, as the schema allows", async () => {
  const response = await fetch(
    url("/paddock.v1.SystemService/GetVersion?encoding=json&message=%7B%7D&connect=v1"),
  );
  assert.equal(response.status, 200);
});

test("a Connect client sees the same typed errors as a gRPC client", async () => {
  for (const httpVersion of ["1.1", "2"] as const) {
    const client = createClient(SandboxService, createConnectTransport({ baseUrl: url(), httpVersion }));
    await assert.rejects(client.getSandbox({ sandboxId: "nope" }), (error) => {
      const typed = fromConnectError(error);
      assert.equal(typed.reason, "SANDBOX_NOT_FOUND");
      assert.equal(typed.metadata.sandbox_id, "nope");
      return true;
    });
  }
});

test("gRPC-Web works over HTTP/1.1", async () => {
  const client = createClient(SystemService, createGrpcWebTransport({ baseUrl: url(), httpVersion: "1.1" }));
  assert.equal((await client.getVersion({})).runtimeVersion, process.version);
});

test("a server stream works over HTTP/1.1, a bidirectional one over HTTP/2 without TLS", async () => {
  n1.streams.readLogs = async function* () {
    for (const byte of [1, 2, 3]) {
      yield create(ReadLogsResponseSchema, { data: new Uint8Array([byte]) });
    }
  };
  const one = createClient(ProcessService, createConnectTransport({ baseUrl: url(), httpVersion: "1.1" }));
  const logs: number[] = [];
  for await (const { data } of one.readLogs({ sandboxId: "s", containerId: "c" })) logs.push(...data);
  assert.deepEqual(logs, [1, 2, 3]);
  n1.streams.exec = async function* (requests) {
    for await (const { message } of requests) {
      const input = message.case === "input" ? message.value.input : undefined;
      if (input?.case === "stdinEof") break;
      if (input?.case !== "stdin") continue;
      yield create(ExecResponseSchema, {
        output: { output: { case: "chunk", value: { stream: 1, data: input.value.data } } },
      });
    }
  };
  const two = createClient(ProcessService, createConnectTransport({ baseUrl: url(), httpVersion: "2" }));
  async function* requests(): AsyncGenerator<MessageInitShape<typeof ExecRequestSchema>> {
    yield { message: { case: "start", value: { sandboxId: "s", containerId: "c", process: {} } } };
    const data = new Uint8Array([7]);
    yield {
      message: { case: "input" as const, value: { input: { case: "stdin" as const, value: { data } } } },
    };
    yield { message: { case: "input", value: { input: { case: "stdinEof", value: {} } } } };
  }
  const echoed: number[] = [];
  for await (const { output } of two.exec(requests())) {
    if (output?.output.case === "chunk") echoed.push(...output.output.value.data);
  }
  assert.deepEqual(echoed, [7]);
});

test("a Connect client that disconnects aborts the node's stream", async () => {
  const aborted = Promise.withResolvers<void>();
  n1.streams.readLogs = async function* (_request, ctx) {
    ctx.signal.addEventListener("abort", () => aborted.resolve());
    yield create(ReadLogsResponseSchema, { data: new Uint8Array([1]) });
    await new Promise(() => {});
  };
  const client = createClient(ProcessService, createConnectTransport({ baseUrl: url(), httpVersion: "1.1" }));
  const leaving = new AbortController();
  await assert.rejects(
    async () => {
      const options = { signal: leaving.signal };
      for await (const _ of client.readLogs({ sandboxId: "s", containerId: "c", follow: true }, options)) {
        leaving.abort();
      }
    },
    (error) => fromConnectError(error).reason === "CANCELLED",
  );
  await aborted.promise;
});

test("a body beyond 4 MiB is refused on the HTTP port too", async () => {
  const response = await post("SandboxService/CreateSandbox", { requestId: "x".repeat(5 * 1024 * 1024) });
  assert.equal(response.status, 429);
  assert.equal(((await response.json()) as { code: string }).code, "resource_exhausted");
});

test("a connection that sends garbage does not affect others", async () => {
  await new Promise<void>((resolve) => {
    const [host, port] = bench.app.httpAddress.split(":");
    const request = http.request({ host, port, method: "GET", path: "/healthz" });
    request.on("socket", (socket) => {
      socket.write("PRI * RUBBISH\r\n\r\n\0\0\0\0");
      socket.on("close", () => resolve());
    });
    request.on("error", () => resolve());
  });
  assert.equal((await fetch(url("/healthz"))).status, 200);
});

test("metrics name methods and codes, and no sandboxes", async () => {
  const text = await (await fetch(url("/metrics"))).text();
  assert.match(
    text,
    /rpc_server_call_duration_seconds_count\{method="paddock.v1.SandboxService\/GetSandbox",code="NOT_FOUND"\}/,
  );
  assert.match(text, /paddock_nodes_up 1/);
  assert.ok(!text.includes("nope"));
});

/** One reflection request of a client without our proto files: field numbers are those of grpc/reflection/v1. */
function reflect(version: string, request: Buffer): Promise<Buffer> {
  const client = new Client(bench.app.grpcAddress, credentials.createInsecure());
  const call = client.makeBidiStreamRequest<Buffer, Buffer>(
    `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
    (bytes) => bytes,
    (bytes) => bytes,
  );
  return new Promise((resolve, reject) => {
    call.on("data", (response: Buffer) => {
      resolve(response);
      call.end();
    });
    call.on("error", reject);
    call.on("end", () => client.close());
    call.write(request);
  });
}
const field = (number: number, text: string) =>
  Buffer.concat([Buffer.from([(number << 3) | 2, text.length]), Buffer.from(text)]);

for (const version of ["v1", "v1alpha"]) {
  test(`reflection ${version} lists every service and gives the file of a method`, async () => {
    const services = (await reflect(version, field(7, "*"))).toString("latin1");
    for (const name of ["Sandbox", "Container", "Process", "Image", "Node", "Event", "System"]) {
      assert.ok(services.includes(`paddock.v1.${name}Service`), name);
    }
    const file = await reflect(version, field(4, "paddock.v1.SandboxService.CreateSandbox"));
    assert.ok(file.includes("CreateSandboxRequest"));
    assert.ok(file.includes("google/protobuf/timestamp.proto"), "with what it imports");
  });

  test(`reflection ${version} describes the health service, and the details that errors carry`, async () => {
    const services = (await reflect(version, field(7, "*"))).toString("latin1");
    assert.ok(services.includes("grpc.health.v1.Health"));
    assert.ok((await reflect(version, field(4, "grpc.health.v1.Health"))).includes("HealthCheckRequest"));
    for (const name of ["ErrorInfo", "RequestInfo", "LocalizedMessage", "RetryInfo", "BadRequest"]) {
      assert.ok((await reflect(version, field(4, `google.rpc.${name}`))).includes("error_details"), name);
    }
  });
}

test("health is SERVING, for the server and for each service", async () => {
  for (const service of ["", "paddock.v1.ProcessService"])
    assert.equal(await healthOf(bench.app.grpcAddress, service), 1);
  assert.equal((await fetch(url("/readyz"))).status, 200);
});

/** grpc.health.v1: 1 is SERVING, 2 is NOT_SERVING. */
function healthOf(address: string, service: string, options = credentials.createInsecure()): Promise<number> {
  const client = new Client(address, options);
  return new Promise<number>((resolve, reject) => {
    client.makeUnaryRequest(
      "/grpc.health.v1.Health/Check",
      (bytes: Buffer) => bytes,
      (bytes: Buffer) => bytes[1] ?? 0,
      field(1, service),
      new Metadata(),
      {},
      (error, status) => {
        client.close();
        if (error) reject(error);
        else resolve(status ?? 0);
      },
    );
  });
}

test("without NATS the api reports everywhere that it is not ready, and is ready again when NATS is back", async () => {
  await using own = await ApiBench.start(startNats);
  const readyz = async () => (await fetch(`http://${own.app.httpAddress}/readyz`)).status;
  await eventually(async () => assert.equal(await readyz(), 200));
  await own.nats.kill();
  await eventually(async () => assert.equal(await readyz(), 503));
  assert.equal(await healthOf(own.app.grpcAddress, ""), 2);
  assert.equal((await fetch(`http://${own.app.httpAddress}/healthz`)).status, 200);
  await assert.rejects(own.connection.service(SandboxService).getSandbox({ sandboxId: "s" }), {
    reason: "BUS_UNAVAILABLE",
  });
});

test("with a token and TLS, only health is answered without them", async () => {
  const directory = mkdtempSync(join(tmpdir(), "tls-"));
  const [keyFile, certFile] = [join(directory, "key"), join(directory, "cert")];
  execFileSync(
    "openssl",
    ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"].concat(
      ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
      ["-keyout", keyFile, "-out", certFile],
    ),
    { stdio: "ignore" },
  );
  const certificate = readFileSync(certFile);
  const token = "0123456789abcdef";
  const tokenFile = join(directory, "token");
  writeFileSync(tokenFile, token);
  await using own = await ApiBench.start(startNats, {
    tokenFile,
    tls: { certificateFile: certFile, keyFile },
  });
  using connection = tlsConnection(own.app.grpcAddress, certificate);
  const system = connection.service(SystemService);
  await assert.rejects(system.getVersion({}), { reason: "BAD_TOKEN" });
  await assert.rejects(system.getVersion({}, { metadata: { authorization: "Bearer wrong-token-0000" } }), {
    reason: "BAD_TOKEN",
  });
  assert.ok((await system.getVersion({}, { metadata: { authorization: `Bearer ${token}` } })).version);
  const byName = own.app.grpcAddress.replace("127.0.0.1", "localhost");
  assert.equal(await healthOf(byName, "", credentials.createSsl(certificate)), 1);
  const transport = createConnectTransport({
    baseUrl: `https://${own.app.httpAddress}`,
    httpVersion: "2",
    nodeOptions: { ca: certificate },
  });
  const connect = createClient(SystemService, transport);
  await assert.rejects(connect.getVersion({}), (error) => fromConnectError(error).reason === "BAD_TOKEN");
  const headers = { authorization: `Bearer ${token}` };
  assert.ok((await connect.getVersion({}, { headers })).version);
  await assert.rejects(own.connection.service(SystemService).getVersion({}), { kind: "unavailable" });
  rmSync(directory, { recursive: true });
});
