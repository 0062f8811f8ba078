/** Much traffic of a sandbox, in and out, with a world outside that is a namespace of this test. */
import "../harness/own-namespace.ts";
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { ContainerState, NetworkProtocol } from "@paddock/protocol";
import { Namespace } from "../../libs/network/src/testing/index.ts";
import { debianImage } from "../fixtures/debian-image.ts";
import { makeAuthority, makeCertificate } from "../harness/certificates.ts";
import { repositoryRoot } from "../harness/child-service.ts";
import { exec } from "../harness/exec.ts";
import { inSeconds, Stack } from "../harness/stack.ts";
import { until } from "../harness/until.ts";

const run = promisify(execFile);
const shell = async (script: string): Promise<string> => (await run("bash", ["-euc", script])).stdout;

const HOST = { v4: "198.51.100.1", v6: "2001:db8::1" };
const WORLD = { v4: "198.51.100.2", v6: "2001:db8::2" };
const sandboxId = "loaded";
const MIB = 2 ** 20;
/** Of the large body. PADDOCK_NETWORK_LOAD_MIB=1024 makes it 1 GiB, which takes minutes by emulation. */
const LARGE = Number(process.env.PADDOCK_NETWORK_LOAD_MIB ?? 8) * MIB;
const CONNECTIONS = 200;
const DOWNLOADS = 32;
const DOWNLOAD_BYTES = 64 * 1024;

let stack: Stack;
let outside: Namespace;
const resources = new AsyncDisposableStack();
const harness = (name: string): string => join(repositoryRoot, "test/harness", name);

before(async () => {
  outside = resources.use(await Namespace.create());
  await shell(`
    ip link add uplink mtu 1400 type veth peer name eth0 mtu 1400 netns ${outside.pid}
    ip addr add ${HOST.v4}/24 dev uplink; ip addr add ${HOST.v6}/64 dev uplink nodad; ip link set uplink up
    ip route add default via ${WORLD.v4}; ip -6 route add default via ${WORLD.v6}`);
  await outside.shell(`
    ip addr add ${WORLD.v4}/24 dev eth0; ip addr add ${WORLD.v6}/64 dev eth0 nodad; ip link set eth0 up`);
  stack = resources.use(
    await Stack.start({ PADDOCK_NETWORK: "on", PADDOCK_DEFAULT_MEMORY_BYTES: String(512 * MIB) }),
  );
  const image = (await stack.importImage(await debianImage())).imageId;
  const server = readFileSync(harness("network-server.py"), "utf8");
  const spec = {
    containers: [{ containerId: "c1", image, process: { args: ["python3", "-c", server] } }],
    network: {
      publishedPorts: [
        { guestPort: 80, hostPort: 8080 },
        { guestPort: 53, hostPort: 5353, protocol: NetworkProtocol.UDP },
      ],
    },
  };
  await stack.client.sandboxes.runSandbox(
    { requestId: randomUUID(), sandboxId, spec },
    { deadline: inSeconds(120) },
  );
  await until(async () => {
    const { containers } = await stack.client.sandboxes
      .getSandboxStatus({ sandboxId })
      .then(({ status }) => status ?? { containers: [] });
    assert.equal(containers[0]?.state, ContainerState.RUNNING);
    return (await fetched("/sha256/0")) !== "";
  }, "the server answers");
});

after(() => resources.disposeAsync());

const urlOf = (host: string, path: string): string =>
  `http://${host.includes(":") ? `[${host}]` : host}:8080${path}`;

/** What a client outside gets; empty if nobody answers. */
const fetched = (path: string, host: string = HOST.v4): Promise<string> =>
  outside.shell(`curl -sS --max-time 15 '${urlOf(host, path)}' || true`);

for (const [family, host] of Object.entries(HOST))
  test(`a client outside fetches a large body through a published port by IP${family}, byte for byte`, async () => {
    const wanted = await fetched(`/sha256/${LARGE}`);
    assert.match(wanted, /^[0-9a-f]{64}$/);
    const [command = "", ...args] = outside.prefix;
    const script = `curl -sS '${urlOf(host, `/${LARGE}`)}' | sha256sum`;
    const { stdout } = await run(command, [...args, "bash", "-euc", script]);
    assert.equal(stdout.split(" ")[0], wanted);
  });

test(`${CONNECTIONS} connections to a published port are open at once, and each is answered`, async () => {
  const urls = `${urlOf(HOST.v4, "")}/sha256/[1-${CONNECTIONS}]`;
  const [command = "", ...args] = outside.prefix;
  const script = `curl -sS --no-progress-meter --parallel --parallel-immediate --parallel-max ${CONNECTIONS} -w '\\n' '${urls}'`;
  const { stdout } = await run(command, [...args, "bash", "-euc", script], { maxBuffer: MIB });
  // Bodies and line ends of several transfers mix, each of them whole.
  const digests = stdout.replaceAll("\n", "").match(/.{64}/g) ?? [];
  assert.equal(new Set(digests).size, CONNECTIONS);
});

test("datagrams come back through a published port by IPv4 and IPv6", async () => {
  const client = `
    import socket, sys
    family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
    udp = socket.socket(family, socket.SOCK_DGRAM)
    udp.settimeout(5)
    for size in (1, 1000, 1300):
        udp.sendto(b"x" * size, (sys.argv[1], 5353))
        assert udp.recv(65536) == b"x" * size`.replaceAll("\n    ", "\n");
  for (const host of Object.values(HOST)) await outside.shell(`/usr/bin/python3 -c '${client}' ${host}`);
});

let authority: string;

async function startWorld(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "tls-world-"));
  resources.defer(() => rmSync(directory, { recursive: true, force: true }));
  const { cert: trusted, ...rest } = makeAuthority(directory);
  authority = readFileSync(trusted, "utf8");
  const { cert, key } = makeCertificate(directory, "world", { cert: trusted, ...rest }, `IP:${WORLD.v4}`);
  const world = [harness("tls-world.ts"), WORLD.v4, "8443", cert, key, String(DOWNLOAD_BYTES)];
  resources.use(await outside.start(process.execPath, ...world));
}

/** The digests of what the sandbox downloads over as many connections at once. */
async function downloads(): Promise<readonly string[]> {
  const script = readFileSync(harness("parallel-downloads.py"), "utf8");
  const { stdout, stderr } = await exec(
    stack.client,
    ["python3", "-c", script, WORLD.v4, "8443", String(DOWNLOADS)],
    { sandboxId, containerId: "c1", stdin: authority, deadline: inSeconds(120) },
  );
  assert.equal(stderr, "");
  return stdout.trim().split("\n");
}

test("many TLS connections at once reach the world under the default policy", async () => {
  await startWorld();
  const digests = Array.from({ length: DOWNLOADS }, (_, number) => {
    const line = Buffer.from(`${number}\n`);
    const body = Buffer.concat([line, Buffer.alloc(DOWNLOAD_BYTES - line.length, "x")]);
    return createHash("sha256").update(body).digest("hex");
  });
  assert.deepEqual(await downloads(), digests);
});

test("a rate holds for what is sent and for what is received, from the moment it is set", async () => {
  const limit = (bandwidth: { sendBytesPerSecond?: bigint; receiveBytesPerSecond?: bigint }) =>
    stack.client.sandboxes.updateNetwork({ requestId: randomUUID(), sandboxId, bandwidth });
  const secondsOf = async (transfer: () => Promise<unknown>) => {
    const begun = performance.now();
    await transfer();
    return (performance.now() - begun) / 1000;
  };
  const send = () => outside.shell(`curl -sS --max-time 15 '${urlOf(HOST.v4, `/${3 * MIB}`)}' >/dev/null`);
  // 3 MiB at 512 KiB/s take 6 s, less the burst of 1 s and 128 KiB.
  await limit({ sendBytesPerSecond: BigInt(MIB / 2) });
  assert.ok((await secondsOf(send)) > 4.5);
  await limit({ receiveBytesPerSecond: BigInt(MIB / 2) });
  assert.ok((await secondsOf(downloads)) > 3.4);
  await limit({});
});
