import assert from "node:assert/strict";
import {
  chmodSync,
  copyFileSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import {
  connect as connectPlain,
  createServer as createPlainServer,
  type Server as PlainServer,
} from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { connect, createServer, type TlsOptions } from "node:tls";
import { create } from "@bufbuild/protobuf";
import { credentials as grpcCredentials, Server } from "@grpc/grpc-js";
import { GetVersionResponseSchema, SystemService } from "@paddock/protocol";
import { GrpcConnection } from "./grpc-client.ts";
import { SERVER_OPTIONS } from "./grpc-limits.ts";
import { addGrpcMethods } from "./grpc-server.ts";
import { PeerChannelCredentials } from "./peer-channel.ts";
import {
  type PeerCredentials,
  type PeerFiles,
  parsePeerCredentials,
  peerFiles,
  peerKey,
  peerPaths,
} from "./peer-credentials.ts";
import { listenForPeer } from "./peer-listener.ts";
import { nameProblem, type PeerName, peerUri } from "./peer-name.ts";
import { createRequestCheck } from "./request-check.ts";
import { bindService } from "./service-handlers.ts";
import { type IssuedFiles, TestAuthority } from "./testing/test-authority.ts";
import { readSmallFile, WatchedFiles } from "./watched-files.ts";

const directory = mkdtempSync(join(tmpdir(), "peer-"));
after(() => rmSync(directory, { recursive: true }));
const API: PeerName = { kind: "api" };
const node = (nodeId: string): PeerName => ({ kind: "node", nodeId });

const secretFile = (name: string, text: string, mode = 0o600) => {
  const path = join(directory, name);
  writeFileSync(path, text, { mode });
  chmodSync(path, mode);
  return path;
};
const read = (files: PeerFiles, own: PeerName) =>
  parsePeerCredentials(peerPaths(files).map(readSmallFile), own);
const secret = (text: string): PeerCredentials => ({ kind: "secret", secret: text.repeat(32) });
const fixed = (current: PeerCredentials) => ({ current, onChange: () => () => {} });

let authority: TestAuthority;
let n1: IssuedFiles;
let n2: IssuedFiles;
let api: IssuedFiles;
before(() => {
  authority = new TestAuthority(directory);
  n1 = authority.issue(`URI:${peerUri(node("n1"))}`);
  n2 = authority.issue(`URI:${peerUri(node("n2"))}`);
  api = authority.issue(`URI:${peerUri(API)}`);
});
const certificate = (files: IssuedFiles): PeerCredentials => ({
  kind: "certificate",
  certificate: readFileSync(files.certificateFile),
  key: readFileSync(files.keyFile),
  ca: readFileSync(files.caFile),
});

/** A node "n1" whose only call counts its invocations. */
async function nodeWith(source: Parameters<typeof listenForPeer>[1]["credentials"]) {
  const server = new Server(SERVER_OPTIONS);
  const seen = { calls: 0, refused: [] as string[] };
  const methods = bindService(SystemService, {
    getVersion: async () => {
      seen.calls += 1;
      return create(GetVersionResponseSchema, { version: "1" });
    },
    setLogLevel: () => Promise.reject(new Error("not here")),
  });
  addGrpcMethods(server, methods, { check: createRequestCheck(), onBug: (error) => console.error(error) });
  const listener = await listenForPeer(server, {
    address: { host: "127.0.0.1", port: 0 },
    credentials: source,
    nodeId: "n1",
    onRefused: ({ message }) => seen.refused.push(message),
  });
  return {
    seen,
    address: `127.0.0.1:${listener.port}`,
    port: listener.port,
    [Symbol.dispose]: () => {
      listener.close();
      server.forceShutdown();
    },
  };
}

async function call(address: string, credentials: PeerCredentials, nodeId = "n1"): Promise<string> {
  const refused: string[] = [];
  const channel = new PeerChannelCredentials({
    credentials: () => credentials,
    nodeId,
    onRefused: ({ message }) => refused.push(message),
  });
  using connection = new GrpcConnection(address, channel);
  const deadline = new Date(Date.now() + 20_000);
  try {
    return (await connection.service(SystemService).getVersion({}, { deadline })).version;
  } catch (error) {
    assert.equal((error as { kind?: string }).kind, "unavailable", String(error));
    return `refused: ${refused[0] ?? error}`;
  }
}

test("an api and a node with the same secret are served", async () => {
  using served = await nodeWith(fixed(secret("s")));
  assert.equal(await call(served.address, secret("s")), "1");
  assert.equal(served.seen.calls, 1);
});

test("another secret, another node, plain text or a certificate is refused", async () => {
  using served = await nodeWith(fixed(secret("s")));
  assert.match(await call(served.address, secret("t")), /refused/);
  assert.match(await call(served.address, secret("s"), "n2"), /refused/);
  assert.match(await call(served.address, certificate(api)), /refused/);
  using plain = new GrpcConnection(served.address, grpcCredentials.createInsecure());
  const deadline = new Date(Date.now() + 20_000);
  await assert.rejects(plain.service(SystemService).getVersion({}, { deadline }), { kind: "unavailable" });
  assert.equal(served.seen.calls, 0);
  assert.ok(served.seen.refused.length >= 4);
});

test("certificates of one authority are accepted, each in its own role", async () => {
  using served = await nodeWith(fixed(certificate(n1)));
  assert.equal(await call(served.address, certificate(api)), "1");
  assert.match(await call(served.address, certificate(n2)), /refused/, "a node is not the api");
  assert.match(await call(served.address, certificate(n1)), /refused/, "nor is the node itself");
  assert.match(await call(served.address, certificate(api), "n2"), /must have the URI paddock:\/\/node\/n2/);
  assert.match(await call(served.address, secret("s")), /refused/);
  const stranger = new TestAuthority(directory, "stranger").issue(`URI:${peerUri(API)}`);
  assert.match(
    await call(served.address, {
      ...certificate(stranger),
      ca: readFileSync(authority.caFile),
    } as PeerCredentials),
    /refused/,
  );
  assert.equal(served.seen.calls, 1);
  assert.ok(served.seen.refused.some((why) => /must have the URI paddock:\/\/api/.test(why)));
});

test("a client without a certificate, or with an older TLS, is not served", async () => {
  using served = await nodeWith(fixed(certificate(n1)));
  const options = { port: served.port, host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols: ["h2"] };
  for (const more of [{}, { maxVersion: "TLSv1.2" as const }]) {
    const socket = connect({ ...options, ...more });
    await new Promise<void>((resolve) => {
      socket.on("error", () => {});
      socket.once("close", () => resolve());
      socket.resume();
    });
  }
  assert.equal(served.seen.calls, 0);
});

/** A server that listens where the node should, and keeps the data that it receives. */
async function impostor(server: PlainServer, heard: Buffer[]) {
  server.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const bound = server.address();
  assert.ok(bound !== null && typeof bound === "object");
  return {
    address: `127.0.0.1:${bound.port}`,
    heard: () => Buffer.concat(heard),
    [Symbol.dispose]: () => void server.close(),
  };
}

test("an impostor of the node learns neither the secret nor the data", async () => {
  const heard: Buffer[] = [];
  const listening = createPlainServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (data) => {
      heard.push(Buffer.from(data));
      // The first bytes of an HTTP/2 server, from an impostor that skips authentication.
      socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
    });
  });
  using there = await impostor(listening, heard);
  assert.match(await call(there.address, secret("s")), /could not authenticate/);
  assert.ok(!there.heard().includes("GetVersion") && !there.heard().includes("PRI "));
  assert.ok(
    !there.heard().includes("s".repeat(32)) && !there.heard().includes(peerKey("s".repeat(32), "n1")),
  );
});

test("a server with a certificate or another key is not accepted as the node", async () => {
  const { certificate: cert, key } = certificate(n1) as Extract<PeerCredentials, { kind: "certificate" }>;
  const servers: TlsOptions[] = [
    { cert, key },
    { ciphers: "TLS_AES_128_GCM_SHA256", pskCallback: () => peerKey("t".repeat(32), "n1") },
  ];
  for (const options of servers) {
    const heard: Buffer[] = [];
    const server = createServer({ ...options, ALPNProtocols: ["h2"] }, (socket) => {
      socket.on("error", () => {});
      socket.on("data", (data) => heard.push(Buffer.from(data)));
    });
    server.on("tlsClientError", () => {});
    using there = await impostor(server, heard);
    assert.match(await call(there.address, secret("s")), /could not authenticate/);
    assert.equal(there.heard().length, 0);
  }
});

test("unauthenticated connections are bounded, the oldest is closed first, and the api still connects", async () => {
  using served = await nodeWith(fixed(secret("s")));
  const idle = Array.from({ length: 100 }, () => connectPlain(served.port, "127.0.0.1"));
  const closed = idle.map((socket) => new Promise<void>((resolve) => socket.once("close", () => resolve())));
  for (const socket of idle) socket.on("error", () => {}).resume();
  await Promise.all(closed.slice(0, 20));
  assert.equal(await call(served.address, secret("s")), "1");
  for (const socket of idle) socket.destroy();
});

test("new connections use replaced files: another secret, another certificate", async () => {
  const path = secretFile("rotating", "a".repeat(32));
  using watched = new WatchedFiles({
    paths: [path],
    parse: (files) => parsePeerCredentials(files, node("n1")),
    onProblem: () => {},
  });
  using served = await nodeWith(watched);
  assert.equal(await call(served.address, secret("a")), "1");
  const changed = new Promise<void>((resolve) => watched.onChange(() => resolve()));
  renameSync(secretFile("rotating.new", "b".repeat(32)), path);
  await changed;
  assert.equal(await call(served.address, secret("b")), "1");
  assert.match(await call(served.address, secret("a")), /refused/);
});

test("after the authority is replaced, certificates of the old one are refused", async () => {
  const other = new TestAuthority(directory, "other");
  const files = {
    certificateFile: join(directory, "r.crt"),
    keyFile: join(directory, "r.key"),
    caFile: join(directory, "r.ca"),
  };
  const put = (from: IssuedFiles) => {
    for (const name of ["certificateFile", "keyFile", "caFile"] as const) {
      copyFileSync(from[name], `${files[name]}.new`);
      renameSync(`${files[name]}.new`, files[name]);
    }
  };
  put(n1);
  const { promise: renewed, resolve } = Promise.withResolvers<void>();
  const next = other.issue(`URI:${peerUri(node("n1"))}`);
  using watched = new WatchedFiles({
    paths: peerPaths({ kind: "certificate", ...files }),
    parse: (read) => parsePeerCredentials(read, node("n1")),
    onProblem: () => {},
  });
  watched.onChange((now) => {
    if (now.kind === "certificate" && now.ca.equals(readFileSync(next.caFile))) resolve();
  });
  using served = await nodeWith(watched);
  assert.equal(await call(served.address, certificate(api)), "1");
  put(next);
  await renewed;
  assert.equal(await call(served.address, certificate(other.issue(`URI:${peerUri(API)}`))), "1");
  assert.match(await call(served.address, certificate(api)), /refused/);
});

test("the settings name one kind of credentials completely", () => {
  const [cert, key, ca, file] = ["CERT_FILE", "KEY_FILE", "CA_FILE"]
    .map((end) => `PADDOCK_STREAM_TLS_${end}`)
    .concat("PADDOCK_STREAM_SECRET_FILE") as [string, string, string, string];
  assert.deepEqual(peerFiles({ [file]: "/s" }), { kind: "secret", secretFile: "/s" });
  assert.equal(peerFiles({ [cert]: "/c", [key]: "/k", [ca]: "/a", [file]: "" }).kind, "certificate");
  assert.throws(
    () => peerFiles({}),
    /authenticate each other.*PADDOCK_STREAM_SECRET_FILE.*PADDOCK_STREAM_TLS_CERT_FILE/,
  );
  assert.throws(() => peerFiles({ [cert]: "/c", [key]: "/k" }), /belong together/);
  assert.throws(() => peerFiles({ [ca]: "/c", [file]: "/s" }), /exclude each other/);
});

test("a secret that other users can read, or an invalid one, is refused", () => {
  const parse = (path: string) => read({ kind: "secret", secretFile: path }, API);
  assert.deepEqual(parse(secretFile("good", `${"a".repeat(32)}\n`)), {
    kind: "secret",
    secret: "a".repeat(32),
  });
  for (const mode of [0o640, 0o604, 0o620, 0o602, 0o644])
    assert.throws(() => parse(secretFile(`mode-${mode}`, "a".repeat(32), mode)), /chmod 600/);
  for (const text of ["", "short", "a".repeat(31), `${"a".repeat(40)} b`])
    assert.throws(() => parse(secretFile("bad", text)), /32 to 512/);
});

test("a certificate of another service, an incomplete one, or one with another key is refused", () => {
  const parse = (files: IssuedFiles, own: PeerName) => read({ kind: "certificate", ...files }, own);
  assert.equal(parse(n1, node("n1")).kind, "certificate");
  assert.throws(() => parse(n1, node("n2")), /must have the URI paddock:\/\/node\/n2/);
  assert.throws(() => parse(n1, API), /must have the URI paddock:\/\/api/);
  assert.throws(() => parse({ ...n1, keyFile: n2.keyFile }, node("n1")), /is not the private key of/);
  const whole = readFileSync(n1.certificateFile, "latin1");
  const half = secretFile("half.crt", whole + whole.slice(0, whole.length / 2));
  assert.throws(() => parse({ ...n1, certificateFile: half }, node("n1")), /ends within a certificate/);
  assert.throws(() => parse({ ...n1, caFile: half }, node("n1")), /ends within a certificate/);
  assert.throws(() => parse({ ...n1, caFile: secretFile("empty.crt", "") }, node("n1")), /no certificate/);
  assert.throws(
    () => parse({ ...n1, keyFile: secretFile("empty.key", "") }, node("n1")),
    /is not the private key/,
  );
});

test("a name is accepted only alone and in its exact form", () => {
  const ok = (names: string) => nameProblem(names, node("n1")) === undefined;
  assert.ok(ok("URI:paddock://node/n1"));
  assert.ok(ok("DNS:host.example, URI:paddock://node/n1, IP Address:10.0.0.1"));
  assert.ok(!ok(""));
  assert.ok(!ok("URI:paddock://node/n1, URI:paddock://api"));
  assert.ok(!ok("URI:paddock://node/n10"));
  assert.ok(!ok("URI:paddock://node/N1"));
  assert.ok(!ok("URI:paddock://node/*"));
  assert.ok(!ok("DNS:paddock://node/n1"));
  assert.ok(!ok('DNS:"x, URI:paddock://node/n1"'));
  assert.ok(!ok('URI:"http://x/, URI:paddock://node/n1, y"'));
});
