import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import http2 from "node:http2";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-node";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { fromConnectError, SandboxService, SystemService } from "@paddock/protocol";
import { startNats } from "../../../test/harness/nats.ts";
import { ApiBench } from "./testing/api-bench.ts";

let bench: ApiBench;
let port: number;
const APP = "https://app.example";
before(async () => {
  bench = await ApiBench.start(startNats, {
    allowedHosts: [
      { host: "paddock.example", port: undefined },
      { host: "proxy.example", port: 8443 },
    ],
    corsOrigins: new Set([APP]),
  });
  port = Number(bench.app.httpAddress.split(":")[1]);
});
after(() => bench[Symbol.asyncDispose]());

type Answer = { readonly status: number; readonly headers: http.IncomingHttpHeaders; readonly text: string };
type Asked = {
  readonly path?: string;
  readonly method?: string;
  /** Names may be repeated. */
  readonly headers?: readonly (readonly [string, string])[];
};
const VERSION = "/paddock.v1.SystemService/GetVersion";
const JSON_BODY = ["content-type", "application/json"] as const;

/** A request of HTTP/1.1 with exactly these headers. */
async function one({ path = VERSION, method = "POST", headers = [] }: Asked): Promise<Answer> {
  const body = method === "POST" ? "{}" : "";
  const request = http.request({
    host: "127.0.0.1",
    port,
    path,
    method,
    setHost: false,
    headers: [
      ...headers,
      JSON_BODY,
      ["content-length", String(body.length)],
    ].flat() as unknown as readonly string[],
  });
  request.end(body);
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) text += chunk;
  return { status: response.statusCode ?? 0, headers: response.headers, text };
}

/** A request of HTTP/2. */
async function two({ path = VERSION, method = "POST", headers = [] }: Asked): Promise<Answer> {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  try {
    const fields: http2.OutgoingHttpHeaders = {
      ":path": path,
      ":method": method,
      "content-type": "application/json",
    };
    for (const [name, value] of headers) fields[name] = value;
    const stream = session.request(fields);
    stream.end(method === "POST" ? "{}" : "");
    const [response] = (await once(stream, "response")) as [http2.IncomingHttpHeaders];
    let text = "";
    for await (const chunk of stream.setEncoding("utf8")) text += chunk;
    return { status: Number(response[":status"]), headers: response, text };
  } finally {
    session.destroy();
  }
}

const ours = () => `127.0.0.1:${port}`;
const host = (value: string) => ["host", value] as const;
const authority = (value: string) => [":authority", value] as const;
const origin = (value: string) => ["origin", value] as const;

const known = () => [
  ours(),
  `localhost:${port}`,
  `LocalHost.:${port}`,
  `[::1]:${port}`,
  `[0:0:0:0:0:0:0:1]:${port}`,
  "paddock.example",
  "PADDOCK.example.:1234",
  "proxy.example:8443",
];
const foreign = () => [
  `evil.example:${port}`,
  "evil.example",
  "localhost",
  `localhost:${port + 1}`,
  `localhost.evil.example:${port}`,
  `127.0.0.1.evil.example:${port}`,
  `10.0.0.1:${port}`,
  `127.1:${port}`,
  `2130706433:${port}`,
  `[::1]x:${port}`,
  `user@127.0.0.1:${port}`,
  `127.0.0.1:${port},evil.example`,
  "proxy.example",
  "proxy.example:8444",
  "x.paddock.example",
  "",
];

test("a request for a known host is served, over HTTP/1.1 and HTTP/2", async () => {
  for (const name of known()) {
    assert.equal((await one({ headers: [host(name)] })).status, 200, name);
    assert.equal((await two({ headers: [authority(name)] })).status, 200, name);
  }
});

test("a request for another host is refused on every path, and the message names the setting", async () => {
  for (const name of foreign()) {
    const { status, text } = await one({ headers: [host(name)] });
    assert.equal(status, 421, name);
    const { code, message, hint } = JSON.parse(text);
    assert.equal(code, "permission_denied");
    assert.match(`${message} ${hint}`, /host.*PADDOCK_API_ALLOWED_HOSTS/);
    // A malformed authority ends the request by itself.
    const status2 = await two({ headers: [authority(name)] }).then(
      (answer) => answer.status,
      () => 421,
    );
    if (name !== "") assert.equal(status2, 421, name);
  }
  for (const path of ["/metrics", "/healthz", "/readyz", "/", "/paddock.v1.SandboxService/ListSandboxes"])
    assert.equal(
      (await one({ path, method: "GET", headers: [host(`evil.example:${port}`)] })).status,
      421,
      path,
    );
  assert.equal((await one({ path: "/healthz", method: "GET", headers: [host(ours())] })).status, 200);
});

test("a request that names no host, two hosts, or another host in its target is refused", async () => {
  const evil = `evil.example:${port}`;
  assert.equal((await two({ headers: [authority(ours()), host(evil)] })).status, 421);
  assert.equal((await two({ headers: [authority(evil), host(ours())] })).status, 421);
  assert.equal((await one({ path: `http://${evil}${VERSION}`, headers: [host(ours())] })).status, 421);
  assert.equal((await one({ path: `http://${ours()}${VERSION}`, headers: [host(evil)] })).status, 421);
  const raw = async (head: string) => {
    const socket = connect(port, "127.0.0.1");
    socket.write(`${head}\r\n\r\n`);
    let text = "";
    for await (const chunk of socket.setEncoding("latin1")) text += chunk;
    return text.split("\r\n")[0];
  };
  const closing = "connection: close";
  assert.match((await raw(`GET /healthz HTTP/1.1\r\n${closing}`)) ?? "", / 400 /);
  assert.match((await raw(`GET /healthz HTTP/1.0\r\n${closing}`)) ?? "", / 421 /);
  for (const pair of [
    [ours(), evil],
    [evil, ours()],
    [ours(), ours()],
  ])
    assert.match(
      (await raw(`GET /healthz HTTP/1.1\r\nhost: ${pair[0]}\r\nhost: ${pair[1]}\r\n${closing}`)) ?? "",
      / 4(00|21) /,
    );
  assert.match((await raw(`GET /healthz HTTP/1.1\r\nhost: ${ours()}\r\n${closing}`)) ?? "", / 200 /);
});

test("a web page of another origin is refused before any work, one of the api's origin is served", async () => {
  const calls = async () => {
    const text = (await one({ path: "/metrics", method: "GET", headers: [host(ours())] })).text;
    return Number(/GetVersion",code="OK"\} (\d+)/.exec(text)?.[1] ?? 0);
  };
  const before = await calls();
  const evil = [
    "http://evil.example",
    "null",
    "",
    `http://localhost:${port + 1}`,
    `${APP}:8443`,
    "http://app.example",
  ];
  for (const page of evil) {
    const { status, text, headers } = await one({ headers: [host(ours()), origin(page)] });
    assert.equal(status, 403, page);
    assert.match(text, /PADDOCK_API_CORS_ORIGINS/);
    assert.equal(headers["access-control-allow-origin"], undefined);
    assert.equal((await two({ headers: [authority(ours()), origin(page)] })).status, 403, page);
  }
  const twice = [host(ours()), origin(APP), origin("http://evil.example")];
  assert.equal((await one({ headers: twice })).status, 403);
  for (const page of evil.slice(0, 2)) {
    const asks = [host(ours()), origin(page), ["access-control-request-method", "POST"] as const];
    assert.equal((await one({ method: "OPTIONS", headers: asks })).status, 403);
  }
  const image = [
    host(ours()),
    ["sec-fetch-site", "cross-site"] as const,
    ["sec-fetch-mode", "no-cors"] as const,
  ];
  const read = `${VERSION}?encoding=json&message=%7B%7D&connect=v1`;
  assert.equal((await one({ path: read, method: "GET", headers: image })).status, 403);
  assert.equal(await calls(), before, "no handler ran");
  const here = await one({ headers: [host(`localhost:${port}`), origin(`http://localhost:${port}`)] });
  assert.equal(here.status, 200);
  const behindProxy = await one({ headers: [host("paddock.example"), origin("https://paddock.example")] });
  assert.equal(behindProxy.status, 200);
});

test("a page of a named origin may preflight, call, and read the headers of the protocols", async () => {
  const asks = [
    host(ours()),
    origin(APP),
    ["access-control-request-method", "POST"],
    ["access-control-request-headers", "content-type"],
  ] as const;
  for (const ask of [one, two]) {
    const headers = asks.map(
      ([name, value]) => [ask === two && name === "host" ? ":authority" : name, value] as const,
    );
    const preflight = await ask({ method: "OPTIONS", headers });
    assert.equal(preflight.status, 204);
    assert.equal(preflight.headers["access-control-allow-origin"], APP);
    assert.match(String(preflight.headers["access-control-allow-methods"]), /POST/);
    for (const name of ["content-type", "connect-protocol-version", "x-grpc-web", "authorization"])
      assert.ok(String(preflight.headers["access-control-allow-headers"]).toLowerCase().includes(name), name);
    const call = await ask({ headers: headers.slice(0, 2) });
    assert.equal(call.status, 200);
    assert.equal(call.headers["access-control-allow-origin"], APP);
    assert.match(String(call.headers.vary), /origin/i);
  }
  const failed = await one({
    path: "/paddock.v1.SandboxService/GetSandbox",
    headers: [host(ours()), origin(APP)],
  });
  assert.equal(failed.status, 400);
  assert.equal(failed.headers["access-control-allow-origin"], APP, "failures can be read too");
  const transport = createGrpcWebTransport({
    baseUrl: `http://${ours()}`,
    httpVersion: "1.1",
    interceptors: [
      (next) => async (request) => {
        request.header.set("origin", APP);
        const response = await next(request);
        assert.match(response.header.get("access-control-expose-headers") ?? "", /grpc-status/i);
        return response;
      },
    ],
  });
  assert.ok((await createClient(SystemService, transport).getVersion({})).version);
});

test("a refusal has a reason that programs can read", async () => {
  const transport = createGrpcWebTransport({
    baseUrl: `http://${ours()}`,
    httpVersion: "1.1",
    interceptors: [
      (next) => (request) => {
        request.header.set("origin", "http://evil.example");
        return next(request);
      },
    ],
  });
  await assert.rejects(createClient(SandboxService, transport).listSandboxes({}), (error) => {
    assert.equal(fromConnectError(error).kind, "permission_denied");
    return true;
  });
  const { details } = JSON.parse(
    (await one({ headers: [host(ours()), origin("http://evil.example")] })).text,
  );
  assert.ok(Buffer.from(details[0].value, "base64").includes("ORIGIN_NOT_ALLOWED"));
});

test("a preflight needs no token, and * allows every origin", async () => {
  const directory = mkdtempSync(join(tmpdir(), "gate-"));
  const tokenFile = join(directory, "token");
  writeFileSync(tokenFile, "0123456789abcdef");
  await using own = await ApiBench.start(startNats, { tokenFile, corsOrigins: "*" });
  const asks = { origin: "http://any.example", "access-control-request-method": "POST" };
  const url = `http://${own.app.httpAddress}${VERSION}`;
  const preflight = await fetch(url, { method: "OPTIONS", headers: asks });
  assert.equal(preflight.status, 204);
  const call = (headers: Record<string, string>) =>
    fetch(url, { method: "POST", body: "{}", headers: { "content-type": "application/json", ...headers } });
  assert.equal((await call({ origin: asks.origin })).status, 401);
  assert.equal((await call({ origin: asks.origin, authorization: "Bearer 0123456789abcdef" })).status, 200);
  rmSync(directory, { recursive: true });
});

test("the gRPC port serves no web pages", async () => {
  const client = new Client(bench.app.grpcAddress, credentials.createInsecure());
  for (const path of ["/paddock.v1.SystemService/GetVersion", "/grpc.health.v1.Health/Check"]) {
    const code = await new Promise((resolve) => {
      const metadata = new Metadata();
      metadata.set("origin", `http://${bench.app.grpcAddress}`);
      const bytes = (buffer: Buffer) => buffer;
      client.makeUnaryRequest(path, bytes, bytes, Buffer.alloc(0), metadata, {}, (error) =>
        resolve(error?.code),
      );
    });
    assert.equal(code, 7, path);
  }
  client.close();
});
