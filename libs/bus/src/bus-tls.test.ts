import assert from "node:assert/strict";
import { chmodSync, copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { nkeys } from "@nats-io/transport-node";
import { makeAuthority, makeCertificate } from "../../../test/harness/certificates.ts";
import { startNats } from "../../../test/harness/nats.ts";
import { Bus, type BusOptions } from "./bus.ts";

const directory = mkdtempSync(join(tmpdir(), "bus-tls-"));
after(() => rmSync(directory, { recursive: true }));
const authority = makeAuthority(directory);
const stranger = makeAuthority(directory, "stranger");
const byAddress = makeCertificate(directory, "by-address", authority, "IP:127.0.0.1,DNS:localhost");
// By default the client library checks the certificate of an IP address for this name.
const byName = makeCertificate(directory, "by-name", authority, "DNS:localhost");
const client = makeCertificate(directory, "client", authority, "DNS:node");

/** A server with a configuration, its "host:port", and a connection to it or the reason for its failure. */
async function server(name: string, configuration: string) {
  const own = join(directory, name);
  const configFile = `${own}.conf`;
  writeFileSync(configFile, configuration);
  const nats = await startNats(own, -1, { configFile, jetstream: false });
  return {
    pid: nats.pid,
    host: new URL(nats.url).host,
    configFile,
    [Symbol.asyncDispose]: () => nats.stop(),
  };
}
const tls = ({ cert, key }: { cert: string; key: string }, more = "") =>
  `tls { cert_file: "${cert}", key_file: "${key}", ${more} }\n`;

async function outcomeOf(options: Omit<BusOptions, "name">): Promise<string> {
  const failed = Promise.withResolvers<string>();
  await using bus = new Bus({
    ...options,
    name: "test",
    onEvent: (event) => {
      if (event.kind === "connect-failed")
        failed.resolve(`${event.err} ${(event.err as Error)?.cause ?? ""}`);
    },
  });
  return await Promise.race([bus.ready.then(() => "connected"), failed.promise]);
}

test("tls:// refuses a server without TLS and sends it no password", async () => {
  await using plain = await server("plain", 'authorization { user: u, password: "p" }\n');
  assert.match(await outcomeOf({ url: `tls://u:p@${plain.host}` }), /does not support 'tls'/);
  assert.equal(await outcomeOf({ url: `nats://u:p@${plain.host}` }), "connected");
});

test("a server is accepted only for the host in its address and from a trusted authority", async () => {
  const files = { ca: authority.cert };
  await using right = await server("right", tls(byAddress));
  assert.equal(await outcomeOf({ url: `tls://${right.host}`, files }), "connected");
  assert.match(await outcomeOf({ url: `tls://${right.host}` }), /certificate/);
  assert.match(await outcomeOf({ url: `tls://${right.host}`, files: { ca: stranger.cert } }), /certificate/);
  await using wrong = await server("wrong", tls(byName));
  assert.match(await outcomeOf({ url: `tls://${wrong.host}`, files }), /127\.0\.0\.1/);
  const named = wrong.host.replace("127.0.0.1", "localhost");
  assert.equal(await outcomeOf({ url: `tls://${named}`, files }), "connected");
});

test("a server that requires it gets the client's certificate", async () => {
  await using mutual = await server("mutual", tls(byAddress, `ca_file: "${authority.cert}", verify: true`));
  const url = `tls://${mutual.host}`;
  assert.equal(await outcomeOf({ url, files: { ca: authority.cert, ...client } }), "connected");
  assert.notEqual(await outcomeOf({ url, files: { ca: authority.cert } }), "connected");
});

test("a client logs in with an nkey, and with another one after the file has changed, without a restart", async () => {
  const [first, second] = [nkeys.createUser(), nkeys.createUser()];
  const users = (key: typeof first) => `authorization { users: [ { nkey: ${key.getPublicKey()} } ] }\n`;
  const nkey = join(directory, "node.nk");
  const write = (key: typeof first) =>
    writeFileSync(nkey, `${new TextDecoder().decode(key.getSeed())}\n`, { mode: 0o600 });
  write(first);
  await using keyed = await server("keyed", users(first));
  await using bus = new Bus({ url: `nats://${keyed.host}`, name: "keyed", files: { nkey } });
  await bus.ready;
  const lost = new Promise<void>((resolve) => bus.onChange((connected) => !connected && resolve()));
  writeFileSync(keyed.configFile, users(second));
  process.kill(keyed.pid, "SIGHUP");
  await lost;
  const back = new Promise<void>((resolve) => bus.onChange((connected) => connected && resolve()));
  write(second);
  await back;
});

type Key = ReturnType<typeof nkeys.createUser>;

/** A claim about a key, as `nsc` writes it: a JWT that `issuer` signs. */
function claim(issuer: Key, subject: Key, nats: object): string {
  const part = (content: object) => Buffer.from(JSON.stringify(content)).toString("base64url");
  const head = part({ typ: "JWT", alg: "ed25519-nkey" });
  const body = part({
    jti: subject.getPublicKey(),
    iat: Math.floor(Date.now() / 1000),
    iss: issuer.getPublicKey(),
    sub: subject.getPublicKey(),
    name: "test",
    nats: { version: 2, ...nats },
  });
  const signature = Buffer.from(issuer.sign(Buffer.from(`${head}.${body}`)));
  return `${head}.${body}.${signature.toString("base64url")}`;
}

test("a client logs in with a credentials file, and not with one of another account", async () => {
  const [operator, account, other, user] = [
    nkeys.createOperator(),
    nkeys.createAccount(),
    nkeys.createAccount(),
    nkeys.createUser(),
  ];
  const limits = { subs: -1, conn: -1, leaf: -1, imports: -1, exports: -1, data: -1, payload: -1 };
  const accounts = claim(operator, account, { type: "account", limits });
  await using jwt = await server(
    "jwt",
    `operator: ${claim(operator, operator, { type: "operator" })}\nresolver: MEMORY\n` +
      `resolver_preload: { ${account.getPublicKey()}: ${accounts} }\n`,
  );
  const credentials = (issuer: Key) => {
    const creds = join(directory, `${issuer.getPublicKey()}.creds`);
    const token = claim(issuer, user, { type: "user", subs: -1, data: -1, payload: -1 });
    const seed = new TextDecoder().decode(user.getSeed());
    writeFileSync(
      creds,
      `-----BEGIN NATS USER JWT-----\n${token}\n------END NATS USER JWT------\n\n` +
        `-----BEGIN USER NKEY SEED-----\n${seed}\n------END USER NKEY SEED------\n`,
      { mode: 0o600 },
    );
    return { creds };
  };
  const url = `nats://${jwt.host}`;
  assert.equal(await outcomeOf({ url, files: credentials(account) }), "connected");
  assert.match(await outcomeOf({ url, files: credentials(other) }), /Authorization Violation/i);
});

test("a secret that others can read is refused at each connect, and accepted once they cannot", async () => {
  const open = join(directory, "open.key");
  copyFileSync(client.key, open);
  chmodSync(open, 0o640);
  await using mutual = await server("closed", tls(byAddress, `ca_file: "${authority.cert}", verify: true`));
  const url = `tls://${mutual.host}`;
  const files = { ca: authority.cert, cert: client.cert, key: open };
  assert.match(await outcomeOf({ url, files }), /open\.key is open to others.*0640.*chmod 600/);
  chmodSync(open, 0o600);
  assert.equal(await outcomeOf({ url, files }), "connected");
});
