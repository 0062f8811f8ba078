/**
 * The users, streams, working directories and limits of a container's processes, compared with `docker run` and `docker exec`.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { CommandLine, PADDOCK } from "../harness/command-line.ts";
import { exec } from "../harness/exec.ts";
import { idle } from "../harness/sandbox.ts";
import { inSeconds, Stack } from "../harness/stack.ts";

let stack: Stack;
let paddock: CommandLine;
const at = { sandboxId: "users", containerId: "c1" };
const sh = (script: string, process: object = {}) =>
  exec(stack.client, ["sh", "-c", script], { ...at, process });

before(async () => {
  stack = await Stack.start();
  const container = { containerId: "c1", image: await stack.tinyImage(), process: idle };
  const spec = { sharePidNamespace: true, containers: [container] };
  const request = { requestId: randomUUID(), sandboxId: at.sandboxId, spec };
  await stack.client.sandboxes.runSandbox(request, { deadline: inSeconds(90) });
  paddock = new CommandLine(stack);
});
after(async () => {
  paddock?.[Symbol.dispose]();
  await stack?.[Symbol.asyncDispose]();
});

test("no inherited descriptor leads to the guest's root", async () => {
  for (let number = 3; number < 24; number += 1)
    await assert.rejects(sh("ls -a", { cwd: `/proc/self/fd/${number}` }), /working directory/);
  for (const cwd of ["/proc/self/root", "/proc/1/cwd"]) await assert.rejects(sh("ls -a", { cwd }));
});

test("a missing working directory fails an exec and is not created", async () => {
  await assert.rejects(sh("pwd", { cwd: "/nope/x" }), /cannot enter the working directory "\/nope\/x"/);
  assert.equal((await sh("test -e /nope")).status.code, 1);
});

test("the standard streams belong to the user, who can reopen them", async () => {
  const done = await sh("echo o >/dev/stdout; echo e >/dev/stderr", { user: "1000" });
  assert.deepEqual([done.stdout, done.stderr, done.status.code], ["o\n", "e\n", 0]);
});

test("the terminal belongs to the user", async () => {
  const done = await sh("stat -c %u $(tty); echo hi >$(tty)", { user: "1000", terminal: true });
  assert.equal(done.stdout, "1000\r\nhi\r\n");
});

test("a user that consists of digits is a uid, even if a user has that name", async () => {
  await sh("echo 4321:x:0:0::/root:/bin/sh >>/etc/passwd");
  const done = await sh("id -u; grep Groups /proc/self/status", { user: "4321" });
  assert.match(done.stdout, /^4321\nGroups:\t0 ?\n$/);
});

test("every user may bind low ports and ping", async () => {
  const files = "/proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/ping_group_range";
  assert.deepEqual((await sh(`cat ${files}`)).stdout.split(/\s+/).slice(0, 3), ["0", "0", "2147483647"]);
});

test("threads, processes and files are not bounded by the memory the VM booted with", async () => {
  const done = await sh("cat /proc/sys/kernel/threads-max /proc/sys/kernel/pid_max; ulimit -u");
  assert.equal(done.stdout, "4194304\n4194304\nunlimited\n");
});

test("an exec works as usual beside a process that may trace others", async () => {
  const tracer = { capabilities: { names: ["CAP_SYS_PTRACE"] } };
  const seen = await sh("grep CapEff /proc/self/status; ls /proc/1/root /proc/1/fd", tracer);
  assert.match(seen.stdout, /0000000000080000\n\/proc\/1\/fd:\n3\n\n\/proc\/1\/root:\nproc\n$/);
  const done = await sh("id -u; ls /proc/self/fd; exit 7", { user: "1000" });
  assert.deepEqual([done.stdout, done.status.code], ["1000\n0\n1\n2\n3\n", 7]);
});

test("exec and run name a command that does not exist, and exit with 127", async () => {
  const ran = await paddock.run(["exec", "users/c1", "nosuch"]);
  assert.deepEqual([ran.code, ran.stderr], [127, "error: cannot execute nosuch: not found\n"]);
  const image = await stack.tinyImage();
  const container = { containerId: "c2", image, process: { args: ["nosuch"] } };
  const call = { deadline: inSeconds(60) };
  const spec = { sandboxId: at.sandboxId, spec: container };
  await stack.client.containers.createContainer({ requestId: randomUUID(), ...spec }, call);
  await stack.client.containers.startContainer(
    { requestId: randomUUID(), sandboxId: at.sandboxId, containerId: "c2" },
    call,
  );
  const attached = await paddock.run(["attach", "users/c2"]);
  assert.equal(attached.code, 127);
  assert.match(attached.stderr, /cannot execute nosuch: not found/);
});

test("a command whose output is closed gets SIGPIPE and ends", async () => {
  const yes = spawn(PADDOCK, ["exec", "users/c1", "yes"], {
    env: paddock.env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exit = new Promise<number | null>((resolve) => yes.once("exit", resolve));
  await new Promise((resolve) => yes.stdout.once("data", resolve));
  yes.stdout.destroy();
  assert.equal(await exit, 141);
  const listed = await stack.client.containers.listProcesses(at, { deadline: inSeconds(30) });
  assert.ok(listed.processes.every(({ args }) => args[0] !== "yes"));
});
