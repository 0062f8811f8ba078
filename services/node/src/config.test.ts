import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig, readEnv } from "./config.ts";

const parse = (env: NodeJS.ProcessEnv) => parseConfig(readEnv(env));

test("nothing needs to be set", () => {
  const config = parse({});
  assert.equal(config.streamAddress, "127.0.0.1:7071");
  assert.equal(config.stateDir, "/var/lib/paddock");
  assert.match(config.nodeId, /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/);
});

test("a misspelt setting refuses to start and is named", () => {
  assert.throws(() => parse({ PADDOCK_STATE_DIRECTORY: "/x" }), /unknown setting PADDOCK_STATE_DIRECTORY/);
});

const wrong: Record<string, string> = {
  PADDOCK_NODE_ID: "a/b",
  PADDOCK_STATE_DIR: "relative",
  PADDOCK_NODE_STREAM_ADDRESS: "7071",
  PADDOCK_ACCELERATOR: "hvf",
  PADDOCK_PRODUCTION: "yes",
  PADDOCK_VM_UID_BASE: "0",
  PADDOCK_CPU_OVERCOMMIT: "0.5",
  PADDOCK_DEFAULT_MEMORY_BYTES: "256M",
  PADDOCK_DEFAULT_VCPUS: "1.5",
  PADDOCK_LOG_LEVEL: "loud",
  PADDOCK_READY_FD: "stdout",
  PADDOCK_NODE_LABELS: "zone",
};
for (const [name, value] of Object.entries(wrong))
  test(`${name}=${value} refuses to start, naming the setting`, () => {
    assert.throws(() => parse({ [name]: value }), new RegExp(name));
  });

test("labels are pairs", () => {
  assert.deepEqual(parse({ PADDOCK_NODE_LABELS: "zone=a,disk=" }).labels, { zone: "a", disk: "" });
});
