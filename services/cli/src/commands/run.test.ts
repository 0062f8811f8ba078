import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeApi, FakeProcess } from "@paddock/client/testing";
import { PaddockError } from "@paddock/domain";
import { ContainerService, type RunSandboxRequest, SandboxService } from "@paddock/protocol";
import { newId } from "../client/generated-id.ts";
import { fakeSandbox, serveSandboxes } from "../testing/fake-sandbox.ts";
import { cli, startCli } from "../testing/run-in-process.ts";

type Fixture = AsyncDisposable & {
  api: FakeApi;
  ran: RunSandboxRequest[];
  deleted: string[];
  stopped: string[];
  process: FakeProcess;
};

async function fixture(answer: () => Promise<void> | void = () => {}): Promise<Fixture> {
  const api = await FakeApi.start();
  const process = FakeProcess.init("main").serve(api);
  const [ran, deleted, stopped]: [RunSandboxRequest[], string[], string[]] = [[], [], []];
  api.unary(SandboxService.method.runSandbox, async (request) => {
    ran.push(request);
    await answer();
    return { sandbox: { sandboxId: request.sandboxId, status: { bootDuration: { seconds: 2n } } } };
  });
  api.unary(SandboxService.method.deleteSandbox, ({ sandboxId, force }) => {
    assert.equal(force, true);
    deleted.push(sandboxId);
    return {};
  });
  api.unary(SandboxService.method.stopSandbox, ({ sandboxId }) => {
    stopped.push(sandboxId);
    return {};
  });
  return { api, ran, deleted, stopped, process, [Symbol.asyncDispose]: () => api[Symbol.asyncDispose]() };
}

test("run boots a sandbox, prints all output of its command and exits with its code", async () => {
  await using f = await fixture();
  f.process.write("stdout", "hello\n").end(7);
  const { code, out, err } = await cli(f.api, ["run", "tiny:1", "echo", "hello"]);
  assert.deepEqual({ code, out }, { code: 7, out: "hello\n" });
  assert.match(err, /^✓ sandbox [0-9a-f]{12} is running, VM booted by emulation in 2\.0 s \(\d+ ms\)\n/);
  const container = f.ran[0]?.spec?.containers[0];
  assert.equal(container?.image, "tiny:1");
  assert.deepEqual([container?.args, container?.process?.args], [["echo", "hello"], []]);
  assert.equal(container?.entrypoint, undefined);
  const start = f.process.lastStart?.message;
  assert.ok(start?.case === "start" && "stdoutOffset" in start.value && start.value.stdoutOffset === 0n);
  assert.deepEqual(f.deleted, []);
});

test("run puts limits, environment, labels and other options into the spec", async () => {
  await using f = await fixture();
  f.process.end(0);
  const options = [
    "--cpus",
    "1.5",
    "-m",
    "96m",
    "--read-only",
    "--label",
    "a=b=c",
    "-e",
    "K=v",
    "-u",
    "nobody",
  ];
  await cli(f.api, ["run", "--name", "web", ...options, "-w", "/srv", "tiny"]);
  const [request] = f.ran;
  const container = request?.spec?.containers[0];
  assert.equal(request?.sandboxId, "web");
  assert.equal(container?.resources?.cpuQuotaUs, 150_000n);
  assert.equal(container?.resources?.cpuPeriodUs, 100_000n);
  assert.equal(container?.resources?.memoryBytes, 96n * 1024n * 1024n);
  assert.equal(container?.readOnlyRootfs, true);
  assert.deepEqual({ ...container?.labels }, { a: "b=c" });
  assert.deepEqual(container?.process?.env, ["K=v"]);
  assert.deepEqual([container?.process?.user, container?.process?.cwd], ["nobody", "/srv"]);
});

test("a name of the form of a generated id is refused before anything is made", async () => {
  await using f = await fixture();
  for (const beside of [[], ["--sandbox", "web"]]) {
    const { code, err } = await cli(f.api, ["run", ...beside, "--name", newId(), "tiny"]);
    assert.equal(code, 2);
    assert.match(err, /has the form of a generated id.*\nhint: choose another name/);
  }
});

test("run sets the size and maximum of a new VM, and refuses to size an existing one", async () => {
  await using f = await fixture();
  f.process.end(0);
  const size = ["--vcpus", "1", "--max-vcpus", "4", "--vm-memory", "256m", "--max-memory", "1g"];
  assert.equal((await cli(f.api, ["run", ...size, "--oom-kill-all", "tiny"])).code, 0);
  const spec = f.ran[0]?.spec;
  assert.deepEqual([spec?.resources?.vcpus, spec?.resources?.maxVcpus], [1, 4]);
  assert.equal(spec?.resources?.memoryBytes, 256n * 1024n ** 2n);
  assert.equal(spec?.resources?.maxMemoryBytes, 1024n ** 3n);
  assert.equal(spec?.containers[0]?.resources?.oomKillAll, true);
  assert.equal(spec?.containers[0]?.resources?.memoryBytes, undefined);
  const beside = await cli(f.api, ["run", "--sandbox", "web", "--max-vcpus", "4", "tiny"]);
  assert.equal(beside.code, 2);
  assert.match(beside.err, /the VM of --sandbox has its size already/);
  for (const odd of [
    ["--max-memory", "64m"],
    ["--max-memory", "100.5m"],
    ["--vcpus", "0"],
    ["--max-vcpus", "241"],
  ])
    assert.equal((await cli(f.api, ["run", ...odd, "tiny"])).code, 2, odd.join(" "));
});

test("--entrypoint replaces the image's entrypoint and takes the arguments, and clears it when empty", async () => {
  await using f = await fixture();
  f.process.end(0);
  await cli(f.api, ["run", "--entrypoint", "/bin/sh", "tiny", "-c", "true"]);
  await cli(f.api, ["run", "--entrypoint", "", "--name", "two", "tiny", "ls"]);
  const said = f.ran.map(({ spec }) => [spec?.containers[0]?.entrypoint?.words, spec?.containers[0]?.args]);
  assert.deepEqual(said, [
    [["/bin/sh"], ["-c", "true"]],
    [[], ["ls"]],
  ]);
});

test("run --rm deletes the sandbox when the command has ended", async () => {
  await using f = await fixture();
  f.process.end(3);
  const { code } = await cli(f.api, ["run", "--rm", "--name", "job", "tiny"]);
  assert.equal(code, 3);
  assert.deepEqual(f.deleted, ["job"]);
});

test("run without --rm stops the VM of a command that has ended, and keeps its record", async () => {
  await using f = await fixture();
  f.process.end(0);
  const { code, err } = await cli(f.api, ["run", "--name", "job", "tiny"]);
  assert.equal(code, 0);
  assert.deepEqual([f.stopped, f.deleted], [["job"], []]);
  assert.match(err, /✓ stopped sandbox job; it is kept until "paddock rm job"/);
});

test("run -d prints the id and leaves the container running", async () => {
  await using f = await fixture();
  const { code, out, err } = await cli(f.api, ["run", "-q", "-d", "--name", "web", "tiny"]);
  assert.deepEqual({ code, out, err }, { code: 0, out: "web\n", err: "" });
  assert.deepEqual([f.stopped, f.deleted], [[], []]);
  assert.ok(!f.api.calls.includes("Attach"));
});

test("Ctrl-C while the VM boots leaves nothing behind and exits 130", async () => {
  const booting = Promise.withResolvers<void>();
  const never = Promise.withResolvers<void>();
  await using f = await fixture(() => {
    booting.resolve();
    return never.promise;
  });
  const run = startCli(f.api, ["run", "--name", "slow", "tiny"]);
  await booting.promise;
  run.signals.emit("SIGINT");
  assert.equal(await run.exit, 130);
  assert.deepEqual(f.deleted, ["slow"]);
  never.resolve();
});

test("run --rm deletes the sandbox after a signal that ended its command", async () => {
  await using f = await fixture();
  f.process.write("stdout", "up\n");
  f.process.onInput = () => f.process.signals.includes("SIGTERM") && f.process.end(143);
  const run = startCli(f.api, ["run", "--rm", "--name", "job", "tiny"]);
  await run.shows("up");
  run.signals.emit("SIGTERM");
  assert.equal(await run.exit, 143);
  assert.deepEqual(f.deleted, ["job"]);
});

test("a sandbox that could not be run exits 125, and --rm reports no second failure when it does not exist", async () => {
  await using api = await FakeApi.start();
  api.unary(SandboxService.method.runSandbox, () => {
    throw new PaddockError("IMAGE_NOT_FOUND", 'image "tiny" does not exist', { hint: "import it" });
  });
  api.unary(SandboxService.method.deleteSandbox, () => {
    throw new PaddockError("SANDBOX_NOT_FOUND", "there is none");
  });
  const { code, out, err } = await cli(api, ["run", "--rm", "tiny"]);
  assert.deepEqual({ code, out }, { code: 125, out: "" });
  assert.match(
    err,
    /^error: cannot run "tiny": image "tiny" does not exist\nhint: import it\nrequest id: cli-/,
  );
});

test("run --rm under a name that is taken deletes nothing", async () => {
  await using f = await fixture(() => {
    throw new PaddockError("SANDBOX_EXISTS", 'sandbox "web" exists');
  });
  const { code, err } = await cli(f.api, ["run", "--rm", "--name", "web", "tiny"]);
  assert.deepEqual([code, f.deleted], [125, []]);
  assert.match(err, /sandbox "web" exists/);
});

test("run --sandbox adds a container to an existing sandbox, and --rm removes only the container", async () => {
  const side = FakeProcess.init("side").write("stdout", "beside\n").end(0);
  await using api = await FakeApi.start();
  side.serve(api);
  const calls: string[] = [];
  api.unary(ContainerService.method.createContainer, ({ sandboxId, spec }) => {
    calls.push(`create ${sandboxId}/${spec?.containerId}`);
    return {};
  });
  api.unary(ContainerService.method.startContainer, ({ sandboxId, containerId }) => {
    calls.push(`start ${sandboxId}/${containerId}`);
    return {};
  });
  api.unary(ContainerService.method.deleteContainer, ({ sandboxId, containerId, force }) => {
    calls.push(`delete ${sandboxId}/${containerId} ${force}`);
    return {};
  });
  const { code, out } = await cli(api, ["run", "-q", "--rm", "--sandbox", "web", "--name", "side", "tiny"]);
  assert.deepEqual({ code, out }, { code: 0, out: "beside\n" });
  assert.deepEqual(calls, ["create web/side", "start web/side", "delete web/side true"]);
});

test("a command that is not in the image is named in the message, and exits 127", async () => {
  await using f = await fixture();
  f.process.end(127, "nosuch: not found");
  const { code, out, err } = await cli(f.api, ["run", "--name", "job", "tiny", "nosuch"]);
  assert.deepEqual([code, out, f.stopped], [127, "", ["job"]]);
  assert.match(err, /error: cannot execute nosuch: not found\n/);
});

test("run -d of a command that is not in the image prints the id and the cause, and exits with the command's code", async () => {
  await using api = await FakeApi.start();
  const exitStatus = { code: 126, reason: "/etc: is a directory" };
  api.unary(SandboxService.method.runSandbox, ({ sandboxId }) => ({
    sandbox: { sandboxId, status: { sandboxId, containers: [{ containerId: "main", exitStatus }] } },
  }));
  const { code, out, err } = await cli(api, ["run", "-d", "--name", "job", "tiny", "/etc"]);
  assert.deepEqual([code, out], [126, "job\n"]);
  assert.match(err, /error: cannot execute \/etc: is a directory\n/);
});

test("exec of a missing command names it in the message", async () => {
  await using api = await FakeApi.start();
  serveSandboxes(api, [fakeSandbox("web")]);
  new FakeProcess().serve(api).end(127, "nosuch: not found");
  const { code, err } = await cli(api, ["exec", "web", "nosuch"]);
  assert.equal(code, 127);
  assert.equal(err, "error: cannot execute nosuch: not found\n");
});
