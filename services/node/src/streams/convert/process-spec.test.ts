import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { agentpb, ProcessSpecSchema } from "@paddock/protocol";
import { agentExecProcess, agentProcess, containerDefaults, imageDefaults } from "./process-spec.ts";

const image = imageDefaults({
  entrypoint: ["/entry"],
  cmd: ["serve"],
  env: ["PATH=/bin", "A=1", "EMPTY"],
  workingDir: "/srv",
  user: "app",
});

test("an init without a spec of its own runs what the image says", () => {
  const process = agentProcess(undefined, image);
  assert.deepEqual(process.args, ["/entry", "serve"]);
  assert.deepEqual([process.cwd, process.user], ["/srv", "app"]);
  assert.ok(process.defaultCapabilities);
  assert.equal(process.overflow, agentpb.OverflowPolicy.BLOCK);
});

test("a spec's environment is beside the image's, its own value wins, and neither is lost", () => {
  const spec = create(ProcessSpecSchema, { args: ["x"], env: ["A=2=3", "B="] });
  assert.deepEqual(agentProcess(spec, image).env, ["PATH=/bin", "A=2=3", "EMPTY", "B="]);
});

test("an exec sees its container's environment, directory and user, and never its command", () => {
  const container = containerDefaults(
    create(ProcessSpecSchema, { args: ["init"], env: ["A=2"], cwd: "/app", user: "1:2" }),
    image,
  );
  const exec = agentExecProcess(create(ProcessSpecSchema, { args: ["true"] }), container);
  assert.deepEqual(exec.args, ["true"]);
  assert.deepEqual(exec.env, ["PATH=/bin", "A=2", "EMPTY"]);
  assert.deepEqual([exec.cwd, exec.user], ["/app", "1:2"]);
  assert.deepEqual(agentExecProcess(create(ProcessSpecSchema, {}), container).args, []);
});

test("a process has a search path and, with a terminal, a kind of it, also when its image says nothing", () => {
  const bare = { args: [], env: [], cwd: "", user: "" };
  const process = agentProcess(create(ProcessSpecSchema, { args: ["sh"], terminal: true }), bare);
  assert.match(process.env[0] ?? "", /^PATH=.*:\/bin$/);
  assert.equal(process.env[1], "TERM=xterm");
});

test("an empty set of capabilities is not the default set", () => {
  const process = agentProcess(
    create(ProcessSpecSchema, { args: ["x"], capabilities: { names: [] } }),
    image,
  );
  assert.equal(process.defaultCapabilities, false);
  assert.deepEqual(process.capabilities, []);
});

test("terminal, stdin and what happens to unread output are handed on", () => {
  const spec = create(ProcessSpecSchema, {
    args: ["sh"],
    terminal: true,
    stdin: true,
    ttySize: { rows: 24, columns: 80 },
    output: { ringBytes: 65536, dropOldest: true },
  });
  const process = agentProcess(spec, image);
  assert.ok(process.terminal && process.stdin);
  assert.equal(process.ttySize?.columns, 80);
  assert.equal(process.ringBytes, 65536);
  assert.equal(process.overflow, agentpb.OverflowPolicy.DROP_OLDEST);
});
