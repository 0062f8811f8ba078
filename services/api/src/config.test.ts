import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { TestAuthority } from "../../../libs/rpc/src/testing/test-authority.ts";
import { parseConfig, readEnv } from "./config.ts";

const directory = mkdtempSync(join(tmpdir(), "config-"));
after(() => rmSync(directory, { recursive: true }));
const file = (name: string, text: string) => {
  writeFileSync(join(directory, name), text, { mode: 0o600 });
  return join(directory, name);
};
const secret = { PADDOCK_STREAM_SECRET_FILE: file("secret", "s".repeat(32)) };
const parse = (env: Record<string, string>) => parseConfig(readEnv({ ...secret, ...env }));

test("without settings the api listens on loopback only", () => {
  const config = parse({ PATH: "/bin" });
  assert.deepEqual(config.grpcAddress, { host: "127.0.0.1", port: 7070 });
  assert.deepEqual(config.httpAddress, { host: "127.0.0.1", port: 7080 });
  assert.equal(config.natsUrl, "nats://127.0.0.1:4222");
});

const someTls = {
  PADDOCK_API_TLS_CERT_FILE: file("cert", "c"),
  PADDOCK_API_TLS_KEY_FILE: file("key", "k"),
};
function readableSecret(): string {
  const path = file("readable", "s".repeat(32));
  chmodSync(path, 0o640);
  return path;
}

const refused: [string, Record<string, string>, RegExp][] = [
  [
    "a setting that does not exist",
    { PADDOCK_API_GRPC_ADRESS: "x" },
    /PADDOCK_API_GRPC_ADRESS: no such setting/,
  ],
  ["an address without a port", { PADDOCK_API_GRPC_ADDRESS: "127.0.0.1" }, /not an address/],
  ["a port above 65535", { PADDOCK_API_GRPC_ADDRESS: "127.0.0.1:70000" }, /not an address/],
  ["an unknown log level", { PADDOCK_LOG_LEVEL: "loud" }, /not one of trace/],
  ["a malformed NATS address", { PADDOCK_NATS_URL: "http://x" }, /PADDOCK_NATS_URL/],
  ["a ready descriptor that is stdout", { PADDOCK_READY_FD: "1" }, /PADDOCK_READY_FD/],
  [
    "an address beyond loopback without TLS and token",
    { PADDOCK_API_GRPC_ADDRESS: "0.0.0.0:7070" },
    /TLS and a token/,
  ],
  ["the same for HTTP", { PADDOCK_API_HTTP_ADDRESS: "[::]:7080" }, /TLS and a token/],
  ["a name that looks like loopback", { PADDOCK_API_HTTP_ADDRESS: "127.evil.example:1" }, /TLS and a token/],
  ["a certificate without a key", { PADDOCK_API_TLS_CERT_FILE: "/x" }, /belong together/],
  ["a missing token file", { PADDOCK_API_TOKEN_FILE: "/nonexistent" }, /cannot be read/],
  ["a file without a certificate", { ...someTls }, /PADDOCK_API_TLS_CERT_FILE: .*no certificate/],
  ["no credentials for the streams", { PADDOCK_STREAM_SECRET_FILE: "" }, /authenticate each other/],
  [
    "credentials for the streams of both kinds",
    {
      PADDOCK_STREAM_TLS_CERT_FILE: "/c",
      PADDOCK_STREAM_TLS_KEY_FILE: "/k",
      PADDOCK_STREAM_TLS_CA_FILE: "/a",
    },
    /exclude each other/,
  ],
  [
    "a secret that others can read",
    { PADDOCK_STREAM_SECRET_FILE: readableSecret() },
    /PADDOCK_STREAM_SECRET_FILE: .*chmod 600/,
  ],
  [
    "a URL as allowed host",
    { PADDOCK_API_ALLOWED_HOSTS: "https://a.example" },
    /not a list of hosts such as/,
  ],
  ["a wildcard as allowed host", { PADDOCK_API_ALLOWED_HOSTS: "*" }, /not a list of hosts such as/],
  ["an origin with a path", { PADDOCK_API_CORS_ORIGINS: "https://a.example/x" }, /not a list of origins/],
  ["an origin without a scheme", { PADDOCK_API_CORS_ORIGINS: "a.example" }, /not a list of origins/],
  ["the origin null", { PADDOCK_API_CORS_ORIGINS: "null" }, /not a list of origins/],
  ["every origin without a token", { PADDOCK_API_CORS_ORIGINS: "*" }, /needs a token/],
  ["a token that is too short", { PADDOCK_API_TOKEN_FILE: file("short", "abc\n") }, /16 to 512/],
];
for (const [what, env, message] of refused) {
  test(`${what} is refused, and the message names it`, () => {
    assert.throws(() => parse(env), { name: "ConfigError", message });
  });
}

test("an address beyond loopback is accepted with TLS and a token, not with one of them", () => {
  const token = { PADDOCK_API_TOKEN_FILE: file("token", "0123456789abcdef\n") };
  const { certificateFile, keyFile } = new TestAuthority(directory).issue("DNS:api.example");
  const tls = { PADDOCK_API_TLS_CERT_FILE: certificateFile, PADDOCK_API_TLS_KEY_FILE: keyFile };
  const open = { PADDOCK_API_GRPC_ADDRESS: "0.0.0.0:7070" };
  assert.throws(() => parse({ ...open, ...token }), /TLS and a token/);
  assert.throws(() => parse({ ...open, ...tls }), /TLS and a token/);
  assert.equal(parse({ ...open, ...tls, ...token }).tokenFile, token.PADDOCK_API_TOKEN_FILE);
});

for (const [what, env] of [
  ["can be reached without TLS", { PADDOCK_API_GRPC_ADDRESS: "0.0.0.0:0", ...secret }],
  ["name no credentials for the streams", {}],
] as const)
  test(`the process exits with code 78 and one line if its settings ${what}`, () => {
    const { status, stderr } = spawnSync(
      process.execPath,
      [fileURLToPath(new URL("./main.ts", import.meta.url))],
      { env, encoding: "utf8", timeout: 30_000 },
    );
    assert.equal(status, 78, stderr);
    assert.equal(stderr.trim().split("\n").length, 1, stderr);
  });

test("hosts and origins are lists and ignore case", () => {
  const config = parse({
    PADDOCK_API_ALLOWED_HOSTS: "Paddock.Example, other.example:8443,[FD00::1]:80,",
    PADDOCK_API_CORS_ORIGINS: "https://App.Example, http://localhost:3000/",
  });
  assert.deepEqual(config.allowedHosts, [
    { host: "paddock.example", port: undefined },
    { host: "other.example", port: 8443 },
    { host: "fd00::1", port: 80 },
  ]);
  assert.deepEqual(config.corsOrigins, new Set(["https://app.example", "http://localhost:3000"]));
});
