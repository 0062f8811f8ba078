import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { parseBusServers } from "./bus-servers.ts";
import { parseBusSettings } from "./bus-settings.ts";

const directory = mkdtempSync(join(tmpdir(), "bus-settings-"));
after(() => rmSync(directory, { recursive: true }));
const file = (name: string, text: string, mode = 0o600) => {
  writeFileSync(join(directory, name), text, { mode });
  return join(directory, name);
};
const SEED = `SU${"A".repeat(56)}`;
const cert = file("cert.pem", "-----BEGIN CERTIFICATE-----\n");
const key = file("key.pem", "-----BEGIN PRIVATE KEY-----\n");
const nkey = file("node.nk", `${SEED}\n`);
const creds = file("node.creds", "-----BEGIN NATS USER JWT-----\nx\n-----BEGIN USER NKEY SEED-----\nx\n");

test("without settings the bus is on this host", () => {
  assert.equal(parseBusSettings({}).url, "nats://127.0.0.1:4222");
});

for (const url of [
  "tls://bus-1:4222,tls://bus-2:4222",
  "tls://node:p%40ss@bus-1",
  "nats://127.0.0.1:4222",
  "nats://node:word@[::1]:4222,nats://localhost:4223",
])
  test(`${url} is taken`, () => assert.equal(parseBusSettings({ PADDOCK_NATS_URL: url }).url, url));

test("files that match each other are accepted", () => {
  const PADDOCK_NATS_URL = "tls://bus-1";
  const own = { PADDOCK_NATS_CERT_FILE: cert, PADDOCK_NATS_KEY_FILE: key };
  const settings = { PADDOCK_NATS_URL, PADDOCK_NATS_CA_FILE: cert, ...own, PADDOCK_NATS_NKEY_FILE: nkey };
  assert.deepEqual(parseBusSettings(settings).files, { ca: cert, cert, key, nkey, creds: undefined });
});

const refused: [string, Parameters<typeof parseBusSettings>[0], RegExp][] = [
  ["no address", { PADDOCK_NATS_URL: "bus-1:4222" }, /PADDOCK_NATS_URL: address 1/],
  ["an address of something else", { PADDOCK_NATS_URL: "http://x" }, /PADDOCK_NATS_URL: address 1/],
  ["a second address that is invalid", { PADDOCK_NATS_URL: "tls://bus-1,bus-2" }, /address 2/],
  ["a password with a slash", { PADDOCK_NATS_URL: "tls://u:se/cret@bus-1" }, /%2F/],
  ["a plain server among others", { PADDOCK_NATS_URL: "tls://bus-1,nats://127.0.0.1" }, /mixed/],
  ["a password in clear to another host", { PADDOCK_NATS_URL: "nats://u:secret@bus-1" }, /use tls/],
  ["no encryption to another host", { PADDOCK_NATS_URL: "nats://10.0.0.5:4222" }, /10\.0\.0\.5.*use tls/],
  ["a certificate alone", { PADDOCK_NATS_URL: "tls://b", PADDOCK_NATS_CERT_FILE: cert }, /belong together/],
  ["a key alone", { PADDOCK_NATS_URL: "tls://b", PADDOCK_NATS_KEY_FILE: key }, /belong together/],
  ["an authority without TLS", { PADDOCK_NATS_CA_FILE: cert }, /PADDOCK_NATS_CA_FILE.*use tls/],
  [
    "two ways to log in, by files",
    { PADDOCK_NATS_NKEY_FILE: nkey, PADDOCK_NATS_CREDS_FILE: creds },
    /NKEY_FILE and PADDOCK_NATS_CREDS_FILE exclude/,
  ],
  [
    "two ways to log in, one in the address",
    { PADDOCK_NATS_URL: "nats://u:secret@127.0.0.1", PADDOCK_NATS_NKEY_FILE: nkey },
    /PADDOCK_NATS_URL and PADDOCK_NATS_NKEY_FILE exclude/,
  ],
  ["a missing file", { PADDOCK_NATS_NKEY_FILE: "/nowhere" }, /NKEY_FILE: .*\/nowhere/],
  ["a file that is not a seed", { PADDOCK_NATS_NKEY_FILE: key }, /NKEY_FILE: .*key\.pem is not the seed/],
  ["a file that is not credentials", { PADDOCK_NATS_CREDS_FILE: nkey }, /CREDS_FILE: .*is not a NATS cred/],
  [
    "a seed that others can read",
    { PADDOCK_NATS_NKEY_FILE: file("open.nk", SEED, 0o644) },
    /NKEY_FILE: .*open\.nk is open to others.*0644.*chmod 600/,
  ],
];
for (const [what, settings, text] of refused)
  test(`${what} is refused with the name of the setting, and no secret is shown`, () => {
    assert.throws(
      () => parseBusSettings(settings),
      (error) => {
        assert.ok(error instanceof Error);
        assert.match(error.message, text);
        assert.doesNotMatch(error.stack ?? "", /secret|se\/cret|SUAAA/);
        return true;
      },
    );
  });

test("a server without a login uses the first login of the list, and a single word is a token", () => {
  const [one, two] = parseBusServers("tls://a:b%2Cc@bus-1,tls://bus-2:1");
  assert.deepEqual(one?.login, { user: "a", password: "b,c" });
  assert.deepEqual(two, { host: "bus-2", port: 1, isTls: true, login: one?.login });
  assert.deepEqual(parseBusServers("nats://word@[::1]")[0], {
    host: "::1",
    port: 4222,
    isTls: false,
    login: { token: "word" },
  });
});
