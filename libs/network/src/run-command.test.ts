import assert from "node:assert/strict";
import { test } from "node:test";
import { commandRunner } from "./run-command.ts";

/** Runs a script in place of a program of the host. */
const script = (text: string, options = {}) =>
  commandRunner({ ...options, prefix: ["sh", "-c", text, "--"] })({
    program: "nft",
    args: ["-f", "-"],
    input: "hello",
  });

test("a program reads its input, and what it prints is the answer", async () => {
  assert.equal(await script('echo "$(cat) $*"'), "hello nft -f -\n");
});

test("a failure has the program's words", async () => {
  await assert.rejects(script("echo no such thing >&2; exit 3"), {
    name: "NetworkError",
    kind: "refused",
    message: "nft -f - failed: no such thing",
  });
});

test("a program that does not end is killed at its deadline", async () => {
  await assert.rejects(script("exec sleep 30", { timeoutMs: 100 }), {
    kind: "unresponsive",
    message: "nft -f - did not end within 100 ms",
  });
});

test("a program that prints without end is killed", async () => {
  await assert.rejects(script("exec yes", { maxOutputBytes: 10_000 }), {
    kind: "unresponsive",
    message: /more than 10000/,
  });
});

test("a program that is not installed is missing", async () => {
  await assert.rejects(commandRunner({ prefix: ["no-such-program"] })({ program: "nft", args: [] }), {
    kind: "missing",
  });
});

test("a caller that gives up gets its own reason", async () => {
  const run = commandRunner({ prefix: ["bash", "-c", "exec sleep 30"] });
  const reason = new Error("the caller left");
  const controller = new AbortController();
  const running = run({ program: "nft", args: [] }, controller.signal);
  controller.abort(reason);
  await assert.rejects(running, reason);
});
