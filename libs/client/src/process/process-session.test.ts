import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PaddockError } from "@paddock/domain";
import { OutputStream, ProcessService } from "@paddock/protocol";
import type { ApiClient } from "../api-client.ts";
import { FakeProcess } from "../testing/fake-process.ts";
import { SERVED } from "../testing/served-client.ts";
import { OutputClosedError, OutputCursor } from "./output-cursor.ts";
import { ProcessSession, type ProcessSessionOptions } from "./process-session.ts";
import type { Opening } from "./process-stream.ts";
import { StdinWindow } from "./stdin-window.ts";

const ADDRESS = { sandboxId: "web", containerId: "main", execId: "e1" };
const EXEC: Opening = { kind: "exec", process: { args: ["job"] } };
const ATTACH: Opening = { kind: "attach", stdoutOffset: undefined, stderrOffset: undefined };

/** A session that collects its outputs. Their readers may close them. */
function sessionOf(client: ApiClient, options: Partial<ProcessSessionOptions> = {}) {
  const gathered = { stdout: "", stderr: "" };
  const left = new Set<string>();
  const shown = new EventTarget();
  const cursor = (name: "stdout" | "stderr") =>
    new OutputCursor(async (data) => {
      if (left.has(name)) throw new OutputClosedError("the output is closed");
      gathered[name] += Buffer.from(data).toString();
      shown.dispatchEvent(new Event("output"));
    });
  const notices: string[] = [];
  const session = new ProcessSession({
    client,
    address: ADDRESS,
    opening: EXEC,
    stdout: cursor("stdout"),
    stderr: cursor("stderr"),
    onNotice: ({ kind }) => notices.push(kind),
    ...options,
  });
  return {
    session,
    gathered,
    notices,
    leave: (name: "stdout" | "stderr") => void left.add(name),
    shows: async (text: string) => {
      while (!gathered.stdout.includes(text))
        await new Promise((resolve) => shown.addEventListener("output", resolve, { once: true }));
    },
  };
}

for (const [place, serve] of Object.entries(SERVED)) {
  describe(`a process session ${place}`, () => {
    test("collects both outputs and the exit status", async () => {
      await using served = await serve();
      new FakeProcess().write("stdout", "to out\n").write("stderr", "to err\n").end(42).serve(served.api);
      const { session, gathered } = sessionOf(served.client);
      assert.equal((await session.run()).code, 42);
      assert.deepEqual(gathered, { stdout: "to out\n", stderr: "to err\n" });
    });

    test("is resumed without gaps and repeats when its stream is cut in the middle of output", async () => {
      const output = Array.from({ length: 20_000 }, (_, i) => `line ${i}\n`).join("");
      await using served = await serve();
      const process = new FakeProcess().write("stdout", output).write("stderr", "one complaint\n").end(3);
      process.serve(served.api);
      const cuts = [30_000, 90_000, 150_000];
      process.onChunk = (offset) => {
        if (cuts[0] === undefined || offset <= cuts[0]) return;
        cuts.shift();
        served.api.cut();
      };
      const { session, gathered, notices } = sessionOf(served.client);
      assert.equal((await session.run()).code, 3);
      assert.equal(cuts.length, 0, "every cut was made");
      assert.equal(gathered.stdout, output);
      assert.equal(gathered.stderr, "one complaint\n");
      assert.equal(process.executions, 1, "the command ran once");
      assert.deepEqual(notices.slice(0, 2), ["connection_lost", "connected_again"]);
    });

    test("sends stdin again from the acknowledged offset when its stream is cut", async () => {
      await using served = await serve();
      const process = new FakeProcess();
      process.serve(served.api);
      const sent = Buffer.from(Array.from({ length: 30_000 }, (_, i) => `row ${i}\n`).join(""));
      let cuts = 0;
      process.onInput = ({ input }) => {
        if (input.case === "stdin" && process.stdin.length > 100_000 && cuts === 0) {
          cuts += 1;
          served.api.cut();
        }
        if (input.case === "stdinEof") process.end(0);
      };
      const pieces = async function* () {
        for (let at = 0; at < sent.length; at += 10_000) yield sent.subarray(at, at + 10_000);
      };
      const { session } = sessionOf(served.client, { stdin: new StdinWindow(pieces()) });
      assert.equal((await session.run()).code, 0);
      assert.equal(cuts, 1);
      assert.deepEqual(process.stdin, sent);
    });

    test("sends an exec whose answer was lost again under the same id, so that it never runs twice", async () => {
      await using served = await serve();
      const process = new FakeProcess();
      let started = 0;
      process.serve(served.api);
      // The connection is cut when the process exists, before the client can be told.
      Object.defineProperty(process, "executions", {
        get: () => started,
        set: (value: number) => {
          started = value;
          served.api.cut();
          process.write("stdout", "done\n").end(0);
        },
      });
      const { session, gathered } = sessionOf(served.client);
      assert.equal((await session.run()).code, 0);
      assert.deepEqual([gathered.stdout, started], ["done\n", 1]);
      assert.ok(served.api.calls.includes("Attach"));
    });

    test("closes an output of an exec that its reader closed, also on a new stream, and reads the other", async () => {
      await using served = await serve();
      const process = new FakeProcess().write("stdout", "y\n");
      process.serve(served.api);
      const { session, gathered, leave, shows } = sessionOf(served.client);
      const exit = session.run();
      await shows("y\n");
      process.onInput = ({ input }) => {
        if (input.case !== "outputClose") return;
        if (process.closes.length === 1) served.api.cut();
        else process.write("stderr", "told\n").end(141);
      };
      leave("stdout");
      process.write("stdout", "y\n");
      assert.equal((await exit).code, 141);
      assert.deepEqual(process.closes, [OutputStream.STDOUT, OutputStream.STDOUT]);
      assert.deepEqual(gathered, { stdout: "y\n", stderr: "told\n" });
    });

    test("ends when the output of an attached process is closed, without an effect on the process", async () => {
      await using served = await serve();
      const process = FakeProcess.init("e1").write("stdout", "y\n");
      process.serve(served.api);
      const { session, leave, shows } = sessionOf(served.client, { opening: ATTACH });
      const exit = session.run();
      await shows("y\n");
      leave("stdout");
      process.write("stdout", "y\n");
      await assert.rejects(exit, OutputClosedError);
      assert.deepEqual(process.closes, []);
    });

    test("acknowledges the bytes that were written", async () => {
      await using served = await serve();
      const process = new FakeProcess().write("stdout", "12345").write("stderr", "123");
      process.serve(served.api);
      // It ends only when all written bytes are acknowledged.
      process.onInput = () => {
        if (process.acked.stdout === 5n && process.acked.stderr === 3n) process.end(9);
      };
      const { session } = sessionOf(served.client);
      assert.equal((await session.run()).code, 9);
    });

    test("sends signals and the last size once a stream is open", async () => {
      await using served = await serve();
      const process = new FakeProcess();
      process.serve(served.api);
      process.onInput = () => {
        if (process.signals.length === 1 && process.sizes.length === 1) process.end(0);
      };
      const { session } = sessionOf(served.client);
      session.sendSignal("SIGHUP");
      session.sendResize({ rows: 30, columns: 100 });
      session.sendResize({ rows: 50, columns: 132 });
      await session.run();
      assert.deepEqual([process.signals, process.sizes], [["SIGHUP"], [{ rows: 50, columns: 132 }]]);
    });

    test("fails when the api refuses", async () => {
      await using served = await serve();
      served.api.duplex(ProcessService.method.exec, async () => {
        throw new PaddockError("WRONG_STATE", 'container "main" is paused');
      });
      await assert.rejects(sessionOf(served.client).session.run(), { reason: "WRONG_STATE" });
    });

    test("ends with its signal, even while a sink accepts no bytes", async () => {
      await using served = await serve();
      new FakeProcess().write("stdout", "y\n").serve(served.api);
      const reached = Promise.withResolvers<void>();
      const stuck = new OutputCursor(() => {
        reached.resolve();
        return new Promise(() => {});
      });
      const left = new AbortController();
      const { session } = sessionOf(served.client, { stdout: stuck, signal: left.signal });
      const exit = session.run();
      await reached.promise;
      left.abort(new Error("enough"));
      await assert.rejects(exit, { message: "enough" });
    });
  });
}
