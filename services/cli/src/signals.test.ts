import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { resolve } from "node:path";
import { describe, test } from "node:test";
import { FakeApi, FakeProcess } from "@paddock/client/testing";
import { EventService, ProcessService, SandboxService } from "@paddock/protocol";
import { fakeSandbox, serveSandboxes } from "./testing/fake-sandbox.ts";
import { cli, startCli } from "./testing/run-in-process.ts";

const MAIN = resolve(import.meta.dirname, "main.ts");

/** A server that accepts connections and never sends anything. */
async function silentServer() {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on("error", () => {}));
    server.emit("taken");
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    server,
    address: `127.0.0.1:${port}`,
    [Symbol.dispose]: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

// Most of these tests wait, one of them for 10 s, so they run concurrently.
describe("a command line", { concurrency: true }, () => {
  for (const words of [
    ["ps"],
    ["wait", "web"],
    ["logs", "-f", "web"],
    ["stats"],
    ["events"],
    ["top", "web"],
    ["exec", "web", "true"],
    ["attach", "web"],
    ["image", "import", "-"],
    ["rm", "a", "b"],
    ["update", "--cpus", "1", "web"],
  ]) {
    test(`"${words.join(" ")}" ends on the second signal when the api does not answer`, async () => {
      using silent = await silentServer();
      const taken = once(silent.server, "taken");
      const run = startCli(silent, words);
      await taken;
      run.signals.emit("SIGTERM");
      run.signals.emit("SIGTERM");
      assert.equal(await run.exit, 143);
    });
  }

  test("an api that accepts connections and never answers is reported within seconds", async () => {
    using silent = await silentServer();
    const { code, err } = await cli(silent, ["events"]);
    assert.equal(code, 1);
    assert.match(
      err,
      /cannot watch the events: no answer from the api at 127\.0\.0\.1:\d+ for 10\.0 s\nhint: /,
    );
  });

  test("--timeout bounds a call that the api never answers", async () => {
    await using api = await FakeApi.start();
    api.unary(SandboxService.method.listSandboxes, () => new Promise(() => {}));
    const { code, err } = await cli(api, ["ps", "--timeout", "200ms"]);
    assert.equal(code, 1);
    assert.match(err, /hint: allow more time with --timeout/);
  });

  test("the second signal of any kind leaves a process that ignores signals", async () => {
    await using api = await FakeApi.start();
    serveSandboxes(api, [fakeSandbox("web")]);
    const process = new FakeProcess().serve(api).write("stdout", "up\n");
    const run = startCli(api, ["exec", "web", "sh"]);
    await run.shows("up");
    const forwarded = Promise.withResolvers<void>();
    process.onInput = () => process.signals.includes("SIGINT") && forwarded.resolve();
    run.signals.emit("SIGINT");
    await forwarded.promise;
    run.signals.emit("SIGTERM");
    assert.equal(await run.exit, 143);
  });

  test("signals other than SIGINT and SIGTERM never end the command line", async () => {
    await using api = await FakeApi.start();
    serveSandboxes(api, [fakeSandbox("web")]);
    const process = new FakeProcess().serve(api).write("stdout", "up\n");
    const run = startCli(api, ["exec", "web", "sh"]);
    await run.shows("up");
    process.onInput = () => process.signals.length === 3 && process.end(0);
    for (const name of ["SIGHUP", "SIGHUP", "SIGQUIT"]) run.signals.emit(name);
    assert.equal(await run.exit, 0);
    assert.deepEqual(process.signals, ["SIGHUP", "SIGHUP", "SIGQUIT"]);
  });

  test("run --rm deletes its sandbox on the second signal, and ends even if the api does not answer", async () => {
    for (const isAnswered of [true, false]) {
      await using api = await FakeApi.start();
      FakeProcess.init("main").serve(api).write("stdout", "up\n");
      const deleted: string[] = [];
      api.unary(SandboxService.method.runSandbox, ({ sandboxId }) => ({ sandbox: { sandboxId } }));
      api.unary(SandboxService.method.deleteSandbox, ({ sandboxId }) => {
        deleted.push(sandboxId);
        return isAnswered ? {} : new Promise<never>(() => {});
      });
      const run = startCli(api, ["run", "--rm", "--name", "job", "tiny"]);
      await run.shows("up");
      run.signals.emit("SIGINT");
      run.signals.emit("SIGINT");
      assert.equal(await run.exit, 130);
      assert.deepEqual(deleted, ["job"]);
    }
  });

  for (const words of [["events"], ["logs", "-f", "web"], ["exec", "web", "yes"]]) {
    test(`"${words.join(" ")}" ends on the second signal when the reader of its output has stopped`, async () => {
      await using api = await FakeApi.start();
      serveSandboxes(api, [fakeSandbox("web")]);
      const line = Buffer.alloc(60_000, "y\n");
      new FakeProcess().serve(api).write("stdout", Buffer.alloc(2_000_000, "y\n"));
      api.serverStream(ProcessService.method.readLogs, async function* () {
        for (let offset = 0n; offset < 6_000_000n; offset += 60_000n) yield { stream: 1, offset, data: line };
        await new Promise(() => {});
      });
      api.serverStream(EventService.method.watch, async function* () {
        for (let i = 1; i < 5_000; i += 1)
          yield { resumeToken: `t${i}`, event: { sandboxId: "x".repeat(128), sequence: BigInt(i) } };
        await new Promise(() => {});
      });
      const child = spawn(process.execPath, [MAIN, ...words], {
        stdio: ["ignore", "pipe", "pipe"],
        env: { ...process.env, PADDOCK_API: api.address, PADDOCK_STATE_DIR: "/nonexistent" },
      });
      const ended = once(child, "exit");
      // Output has come and nobody reads the rest: the pipe is full soon.
      await once(child.stdout, "readable");
      child.kill("SIGTERM");
      const again = setInterval(() => child.kill("SIGTERM"), 1000);
      const [code, signal] = await ended;
      clearInterval(again);
      assert.ok(code === 143 || signal === "SIGTERM", `${code} ${signal}`);
      child.stdout.destroy();
      child.stderr.destroy();
    });
  }
});
