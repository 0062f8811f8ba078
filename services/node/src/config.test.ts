import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type IssuedFiles, TestAuthority } from "../../../libs/rpc/src/testing/test-authority.ts";
import { parseConfig, readEnv } from "./config.ts";

const directory = mkdtempSync(join(tmpdir(), "config-"));
after(() => rmSync(directory, { recursive: true }));
const secret = { PADDOCK_STREAM_SECRET_FILE: join(directory, "secret") };
writeFileSync(secret.PADDOCK_STREAM_SECRET_FILE, "s".repeat(32), { mode: 0o600 });
const parse = (env: NodeJS.ProcessEnv) => parseConfig(readEnv({ ...secret, ...env }));

test("only the credentials of node and api need to be set", () => {
  const config = parse({});
  assert.deepEqual(config.streams, {
    listen: { host: "127.0.0.1", port: 7071 },
    advertise: undefined,
    credentials: { kind: "secret", secretFile: secret.PADDOCK_STREAM_SECRET_FILE },
  });
  assert.equal(config.stateDir, "/var/lib/paddock");
  assert.match(config.nodeId, /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/);
});

test("a misspelt setting is refused with its name", () => {
  assert.throws(() => parse({ PADDOCK_STATE_DIRECTORY: "/x" }), /PADDOCK_STATE_DIRECTORY: no such setting/);
});

const wrong: Record<string, string> = {
  PADDOCK_NODE_ID: "a/b",
  PADDOCK_STATE_DIR: "relative",
  PADDOCK_NODE_STREAM_ADDRESS: "7071",
  PADDOCK_NODE_STREAM_ADVERTISE_ADDRESS: "unix:/run/x.sock",
  PADDOCK_ACCELERATOR: "hvf",
  PADDOCK_PRODUCTION: "yes",
  PADDOCK_VM_UID_BASE: "0",
  PADDOCK_CPU_OVERCOMMIT: "0.5",
  PADDOCK_DEFAULT_MEMORY_BYTES: "256M",
  PADDOCK_DEFAULT_VCPUS: "1.5",
  PADDOCK_LOG_LEVEL: "loud",
  PADDOCK_READY_FD: "stdout",
  PADDOCK_NODE_LABELS: "zone",
  PADDOCK_HOST_DIRECTORIES: "/srv/a:b",
};
for (const [name, value] of Object.entries(wrong))
  test(`${name}=${value} is refused with its name`, () => {
    assert.throws(() => parse({ [name]: value }), new RegExp(name));
  });

test("labels are pairs", () => {
  assert.deepEqual(parse({ PADDOCK_NODE_LABELS: "zone=a,disk=" }).labels, { zone: "a", disk: "" });
});

const certificates = ({ certificateFile, keyFile, caFile }: IssuedFiles) => ({
  PADDOCK_NODE_ID: "n1",
  PADDOCK_STREAM_SECRET_FILE: "",
  PADDOCK_STREAM_TLS_CERT_FILE: certificateFile,
  PADDOCK_STREAM_TLS_KEY_FILE: keyFile,
  PADDOCK_STREAM_TLS_CA_FILE: caFile,
});

test("streams that other hosts can reach need certificates and an address that the api can dial", () => {
  const authority = new TestAuthority(directory);
  const own = certificates(authority.issue("URI:paddock://node/n1"));
  const listen = (address: string, advertise = "") => ({
    PADDOCK_NODE_STREAM_ADDRESS: address,
    PADDOCK_NODE_STREAM_ADVERTISE_ADDRESS: advertise,
  });
  for (const address of ["10.0.0.5:7071", "node.example:7071", "[fd00::5]:7071"]) {
    assert.throws(() => parse(listen(address)), /needs certificates: set PADDOCK_STREAM_TLS_CERT_FILE/);
    assert.throws(() => parse(listen("127.0.0.1:7071", address)), /needs certificates/);
    assert.equal(parse({ ...own, ...listen(address) }).streams.advertise, undefined);
  }
  for (const wildcard of ["0.0.0.0:7071", "[::]:7071", "[::ffff:0.0.0.0]:7071"]) {
    assert.throws(() => parse(listen(wildcard)), /PADDOCK_NODE_STREAM_ADVERTISE_ADDRESS/);
    assert.throws(() => parse({ ...own, ...listen(wildcard) }), /PADDOCK_NODE_STREAM_ADVERTISE_ADDRESS/);
    assert.throws(() => parse({ ...own, ...listen("10.0.0.5:7071", wildcard) }), /stands for all/);
    assert.throws(() => parse(listen(wildcard, "127.0.0.1:7071")), /needs certificates/);
    const { advertise } = parse({ ...own, ...listen(wildcard, "node.example:0") }).streams;
    assert.deepEqual(advertise, { host: "node.example", port: 0 });
  }
  for (const legacy of ["0:7071", "127.1:7071", "0x7f000001:7071"])
    assert.throws(() => parse({ ...own, ...listen(legacy) }), /host:port/);
});

test("a certificate of another node or of the api is refused", () => {
  const authority = new TestAuthority(directory, "roles");
  for (const name of [
    "URI:paddock://node/n2",
    "URI:paddock://api",
    "DNS:n1",
    "URI:paddock://node/n1,URI:paddock://api",
  ])
    assert.throws(() => parse(certificates(authority.issue(name))), /must have the URI paddock:\/\/node\/n1/);
});

for (const address of ["127.0.0.1:0", "0.0.0.0:0"])
  test(`a daemon at ${address} without credentials exits with code 78 and prints one line`, () => {
    const { status, stderr } = spawnSync(
      process.execPath,
      [fileURLToPath(new URL("./main.ts", import.meta.url))],
      {
        env: { PADDOCK_NODE_STREAM_ADDRESS: address, PADDOCK_STATE_DIR: directory },
        encoding: "utf8",
        timeout: 60_000,
      },
    );
    assert.equal(status, 78, stderr);
    assert.match(stderr, /^api and node daemon must be able to authenticate each other.*\n$/);
  });

test("host directories are separated by colons, in normal form, and never all of the host", () => {
  const of = (text: string) => parse({ PADDOCK_HOST_DIRECTORIES: text }).hostDirectories;
  assert.deepEqual(of("/srv/a/:/srv//b/../c"), ["/srv/a", "/srv/c"]);
  assert.deepEqual(parse({}).hostDirectories, []);
  for (const root of ["/", "/srv/..", "//"])
    assert.throws(() => of(`/srv/a:${root}`), /PADDOCK_HOST_DIRECTORIES/);
});
