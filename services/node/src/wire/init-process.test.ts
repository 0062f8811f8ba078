import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { agentpb, ContainerSpecSchema } from "@paddock/protocol";
import fc from "fast-check";
import { fakeImage } from "../testing/fake-image.ts";
import { initProcess, mergeEnv, stopSignalOf } from "./init-process.ts";

const { config } = fakeImage();
const image = {
  ...config,
  entrypoint: ["/entry"],
  cmd: ["run"],
  env: ["A=1", "B=2"],
  workingDir: "/app",
  user: "app",
};
type Init = MessageInitShape<typeof ContainerSpecSchema>;
const spec = (init: Init) => create(ContainerSpecSchema, { containerId: "c1", ...init });

test("values that the client does not set come from the image", () => {
  const process = initProcess(spec({}), image);
  assert.deepEqual(process.args, ["/entry", "run"]);
  assert.equal(process.cwd, "/app");
  assert.equal(process.user, "app");
  assert.ok(process.defaultCapabilities);
});

test("the process's arguments replace entrypoint and command, and its user and directory replace the image's", () => {
  const process = initProcess(spec({ process: { args: ["sh"], cwd: "/tmp", user: "0" } }), image);
  assert.deepEqual(process.args, ["sh"]);
  assert.equal(process.cwd, "/tmp");
  assert.equal(process.user, "0");
});

test("a client's variable replaces the image's variable of that name, and there is always a PATH", () => {
  const env = mergeEnv(["A=1", "B=2"], ["B=3=4", "C="]);
  assert.deepEqual(env.slice(0, 3), ["A=1", "B=3=4", "C="]);
  assert.match(env[3] ?? "", /^PATH=/);
  assert.deepEqual(mergeEnv(["PATH=/bin"], []), ["PATH=/bin"]);
});

test("no variable occurs twice, and the client's are never lost", () => {
  const variable = fc
    .tuple(fc.stringMatching(/^[A-C]{1,2}$/), fc.string())
    .map(([key, value]) => `${key}=${value}`);
  fc.assert(
    fc.property(fc.array(variable), fc.array(variable), (base, over) => {
      const merged = mergeEnv(base, over);
      const names = merged.map((each) => each.slice(0, each.indexOf("=")));
      assert.equal(new Set(names).size, names.length);
      const last = new Map(over.map((each) => [each.slice(0, each.indexOf("=")), each]));
      for (const each of last.values()) assert.ok(merged.includes(each));
    }),
  );
});

test("a container without a command from client or image is refused", () => {
  const bare = { ...image, entrypoint: [], cmd: [] };
  assert.throws(() => initProcess(spec({}), bare), { reason: "INVALID_FIELD" });
});

test("an empty set of capabilities means none, not the default set", () => {
  const process = initProcess(spec({ process: { capabilities: { names: [] } } }), image);
  assert.equal(process.defaultCapabilities, false);
  assert.deepEqual(process.capabilities, []);
});

test("the policy for unread output is passed on", () => {
  const process = initProcess(spec({ process: { output: { dropOldest: true, ringBytes: 65536 } } }), image);
  assert.equal(process.overflow, agentpb.OverflowPolicy.DROP_OLDEST);
  assert.equal(process.ringBytes, 65536);
});

test("the image's stop signal is used, or SIGTERM when it has none or an invalid one", () => {
  assert.equal(stopSignalOf({ ...image, stopSignal: "SIGQUIT" }), 3);
  assert.equal(stopSignalOf({ ...image, stopSignal: "" }), 15);
  assert.equal(stopSignalOf({ ...image, stopSignal: "SIGNONSENSE" }), 15);
});

const bare = { ...image, entrypoint: [], cmd: [] };
for (const { says, init, of = image, runs } of [
  { says: "nothing", init: {}, runs: ["/entry", "run"] },
  { says: "arguments", init: { args: ["a", "b"] }, runs: ["/entry", "a", "b"] },
  { says: "an entrypoint", init: { entrypoint: { words: ["/bin/sh", "-c"] } }, runs: ["/bin/sh", "-c"] },
  {
    says: "an entrypoint and arguments",
    init: { entrypoint: { words: ["/bin/sh"] }, args: ["-x"] },
    runs: ["/bin/sh", "-x"],
  },
  { says: "no entrypoint, and arguments", init: { entrypoint: { words: [] }, args: ["ls"] }, runs: ["ls"] },
  { says: "one empty argument", init: { args: [""] }, runs: ["/entry", ""] },
  { says: "arguments for an image that has no entrypoint", init: { args: ["ls"] }, of: bare, runs: ["ls"] },
  { says: "the whole command line", init: { process: { args: ["ls", "-l"] } }, runs: ["ls", "-l"] },
]) {
  test(`a spec with ${says} runs ${JSON.stringify(runs)}`, () => {
    assert.deepEqual(initProcess(spec(init), of).args, runs);
  });
}

test("clearing the entrypoint also clears the image's command, so nothing is left to run without arguments", () => {
  assert.throws(() => initProcess(spec({ entrypoint: { words: [] } }), image), {
    reason: "INVALID_FIELD",
    message: /entrypoint was cleared/,
  });
});

test("a command that is given in two ways is refused", () => {
  for (const other of [{ args: ["a"] }, { entrypoint: { words: ["sh"] } }, { entrypoint: {} }])
    assert.throws(() => initProcess(spec({ process: { args: ["ls"] }, ...other }), image), {
      reason: "INVALID_FIELD",
      message: /two ways/,
    });
});
