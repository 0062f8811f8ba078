/** The commands about networks, with one sandbox on the network of its node. */
import "../harness/own-namespace.ts";
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { tinyImage } from "../fixtures/tiny-image.ts";
import { CommandLine } from "../harness/command-line.ts";
import { Stack } from "../harness/stack.ts";

const call = promisify(execFile);

const HOST = "198.51.100.1";
const SERVE = "mkdir /www; echo hello >/www/index.html; exec httpd -f -p 80 -h /www";

const resources = new AsyncDisposableStack();
let paddock: CommandLine;

/** The standard output of a command that succeeds. */
async function out(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await paddock.run(args);
  assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
  return stdout;
}

before(async () => {
  const links = `
    ip link add uplink type veth peer name far
    ip addr add ${HOST}/24 dev uplink; ip link set uplink up; ip link set far up
    ip route add default via 198.51.100.2`;
  await call("bash", ["-euc", links]);
  const stack = resources.use(await Stack.start({ PADDOCK_NETWORK: "on" }));
  paddock = resources.use(new CommandLine(stack));
  await stack.importImage(await tinyImage());
  const limits = ["--bandwidth-out", "10m", "--add-host", "db:10.0.0.7"];
  const ports = ["-p", "0:80", "-p", "127.0.0.1::53/udp"];
  await out("run", "-d", "--name", "web", ...ports, ...limits, "paddock/tiny", "sh", "-c", SERVE);
});

after(() => resources.disposeAsync());

test("run -p 0:80 publishes a free port, which ps and port show, and curl reaches it", async () => {
  const shown = await out("ps", "--format", "{{.Names}} {{.Ports}}");
  const [, port = ""] = /^web 0\.0\.0\.0:(\d+)->80\/tcp, \[::\]:\1->80\/tcp, /.exec(shown) ?? [];
  assert.notEqual(port, "", shown);
  assert.match(await out("ps"), new RegExp(` 0\\.0\\.0\\.0:${port}->80/tcp`));
  assert.equal(await out("port", "web", "80"), `0.0.0.0:${port}\n[::]:${port}\n`);
  const retry = ["--retry", "20", "--retry-all-errors", "--retry-delay", "1"];
  const { stdout } = await call("curl", ["-fsS", "--max-time", "10", ...retry, `http://${HOST}:${port}/`]);
  assert.equal(stdout, "hello\n");
});

test("network inspect shows addresses, ports, policy and rates, and the container has its line of /etc/hosts", async () => {
  const shown = await out("network", "inspect", "web");
  assert.match(shown, /^interface eth0 +eth0, 10\.213\.\d+\.\d+\/32, fd5a:\S+\/128, 02:50:\S+, mtu \d+$/m);
  assert.match(shown, /^egress +public$/m);
  assert.match(shown, /^bandwidth +out 10\.0MiB\/s, in none$/m);
  assert.match(await out("network", "ls", "-q"), /^web\/eth0\n$/);
  assert.match(await out("exec", "web", "cat", "/etc/hosts"), /^10\.0\.0\.7\s+db$/m);
});

test("network update changes the policy in force, and network log shows what it refused", async () => {
  const ask = ["exec", "web", "--", "sh", "-c", "nc -w 1 192.0.2.7 25 </dev/null || true"];
  await out("network", "update", "web", "--deny", "192.0.2.0/24:25", "--bandwidth-out", "none");
  await out(...ask);
  const refused = await out("network", "log", "web");
  assert.match(refused, /^\S+Z +10\.213\.\S+ +192\.0\.2\.7 +tcp +25 +\d+$/m);
  const updated = await out("network", "update", "web", "--egress", "none");
  assert.match(updated, /^egress +none\nbandwidth +out none, in none$/m);
  assert.doesNotMatch(updated, /rule/);
});

test("exec -d starts a process that keeps running, and fails if the command is not in the image", async () => {
  const id = (await out("exec", "-d", "web", "--", "sh", "-c", "echo begun; exec sleep 1000")).trim();
  assert.match(id, /^[0-9a-f]{12}$/);
  assert.match(await out("top", "web"), / sleep 1000$/m);
  const { code, stderr } = await paddock.run(["exec", "-d", "web", "no-such-command"]);
  assert.deepEqual([code, /error: cannot execute no-such-command/.test(stderr)], [127, true]);
});

test("network connect adds an interface, network route set its routes, and network disconnect removes both", async () => {
  assert.equal(await out("network", "connect", "-q", "web", "--name", "lan1"), "web/lan1\n");
  assert.match(
    await out("network", "ls", "web"),
    /^web +lan1 +lan1 +10\.213\.\S+\/32, fd5a:\S+\/128 +02:50:/m,
  );
  assert.match(await out("exec", "web", "ip", "addr"), /lan1/);
  const before = (await out("network", "route", "ls", "-q", "web")).trim().split(/\s/);
  const set = await out(
    "network",
    "route",
    "set",
    "web",
    ...before,
    "192.0.2.0/24",
    "dev",
    "lan1",
    "metric",
    "7",
  );
  assert.match(set, /^192\.0\.2\.0\/24 +- +lan1 +- +7 /m);
  assert.match(await out("exec", "web", "ip", "route"), /^192\.0\.2\.0\/24 dev lan1 .*metric 7/m);
  assert.equal(await out("network", "disconnect", "web/lan1"), "web/lan1\n");
  assert.doesNotMatch(await out("exec", "web", "ip", "addr"), /lan1/);
  assert.deepEqual((await out("network", "route", "ls", "-q", "web")).trim().split(/\s/), before);
});
