import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { connect } from "node:tls";
import { create } from "@bufbuild/protobuf";
import { ImageService, ImportImageResponseSchema, SystemService } from "@paddock/protocol";
import { tlsConnection } from "@paddock/rpc";
import { type IssuedFiles, TestAuthority } from "../../../libs/rpc/src/testing/test-authority.ts";
import { startNats } from "../../../test/harness/nats.ts";
import { ApiBench, eventually } from "./testing/api-bench.ts";
import { STREAM_SECRET } from "./testing/fake-node.ts";

const directory = mkdtempSync(join(tmpdir(), "credentials-"));
after(() => rmSync(directory, { recursive: true }));

const put = (from: string, to: string) => {
  copyFileSync(from, `${to}.new`);
  renameSync(`${to}.new`, to);
};

/** The serial number of the certificate that a port presents. */
function shownBy(address: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const [host = "", port] = address.split(":");
  const socket = connect(
    { host, port: Number(port), rejectUnauthorized: false, ALPNProtocols: ["h2"] },
    () => {
      resolve(socket.getPeerCertificate().serialNumber);
      socket.destroy();
    },
  );
  socket.on("error", reject);
  return promise;
}

test("a replaced token and certificate are used at once, the old token is refused, and invalid files change nothing", async () => {
  const authority = new TestAuthority(directory);
  const names = "IP:127.0.0.1,DNS:localhost";
  const [first, second] = [authority.issue(names), authority.issue(names)];
  const tls = { certificateFile: join(directory, "tls.crt"), keyFile: join(directory, "tls.key") };
  const tokenFile = join(directory, "token");
  const putBoth = ({ certificateFile, keyFile }: IssuedFiles) => {
    put(certificateFile, tls.certificateFile);
    put(keyFile, tls.keyFile);
  };
  const putToken = (text: string) => {
    writeFileSync(`${tokenFile}.text`, text);
    put(`${tokenFile}.text`, tokenFile);
  };
  putBoth(first);
  putToken("first-token-0000");
  await using bench = await ApiBench.start(startNats, { tls, tokenFile });
  const ports = [bench.app.grpcAddress, bench.app.httpAddress];
  using kept = tlsConnection(bench.app.grpcAddress, readFileSync(authority.caFile));
  const version = (token: string) =>
    kept.service(SystemService).getVersion({}, { metadata: { authorization: `Bearer ${token}` } });
  assert.ok((await version("first-token-0000")).version);
  const shownAtFirst = await shownBy(ports[0] ?? "");

  putToken("short");
  await eventually(() =>
    assert.ok(bench.logs.some((line) => /PADDOCK_API_TOKEN_FILE.*16 to 512/.test(line))),
  );
  assert.ok((await version("first-token-0000")).version, "the old one is still in use");
  putToken("second-token-000");
  await eventually(() => version("second-token-000"));
  await assert.rejects(version("first-token-0000"), { reason: "BAD_TOKEN" });

  put(second.certificateFile, tls.certificateFile);
  await eventually(() =>
    assert.ok(bench.logs.some((line) => /PADDOCK_API_TLS_CERT_FILE.*not the private key/.test(line))),
  );
  for (const port of ports) assert.equal(await shownBy(port), shownAtFirst, "the old pair is still in use");
  put(second.keyFile, tls.keyFile);
  for (const port of ports) await eventually(async () => assert.notEqual(await shownBy(port), shownAtFirst));
  assert.ok((await version("second-token-000")).version, "earlier connections continue");
});

test("a replaced secret of streams is used for the next connection to a node", async () => {
  const secretFile = join(directory, "stream.secret");
  const putSecret = (text: string) => {
    writeFileSync(`${secretFile}.text`, text, { mode: 0o600 });
    put(`${secretFile}.text`, secretFile);
  };
  putSecret("f".repeat(32));
  await using bench = await ApiBench.start(startNats, { stream: { kind: "secret", secretFile } });
  const node = await bench.node("n1");
  node.streams.importImage = async function* (requests) {
    for await (const _ of requests);
    const message = { case: "image", value: { imageId: "sha256:1" } } as const;
    yield create(ImportImageResponseSchema, { message });
  };
  const importImage = async () => {
    const call = bench.connection.service(ImageService).importImage();
    const answers = Array.fromAsync(call);
    await call.write({ message: { case: "start", value: { name: "x" } } });
    call.end();
    return (await answers).at(-1)?.message.case;
  };
  await eventually(() =>
    assert.rejects(importImage(), { reason: "NODE_UNAVAILABLE", message: /authenticate each other/ }),
  );
  putSecret(STREAM_SECRET);
  await eventually(async () => assert.equal(await importImage(), "image"));
});
