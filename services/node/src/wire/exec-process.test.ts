import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import { ProcessSpecSchema } from "@paddock/protocol";
import { execProcess } from "./exec-process.ts";

const init = { args: ["init"], env: ["PATH=/bin", "A=1"], cwd: "/srv", user: "app" };

test("an exec inherits its container's environment, directory and user, but not its command", () => {
  const process = execProcess(create(ProcessSpecSchema, { args: ["true"] }), init);
  assert.deepEqual(process.args, ["true"]);
  assert.deepEqual(process.env, ["PATH=/bin", "A=1"]);
  assert.deepEqual([process.cwd, process.user], ["/srv", "app"]);
});

test("an exec's own settings override its container's", () => {
  const spec = create(ProcessSpecSchema, { args: ["x"], env: ["A=2=3", "B="], cwd: "/", user: "0" });
  const process = execProcess(spec, init);
  assert.deepEqual(process.env, ["PATH=/bin", "A=2=3", "B="]);
  assert.deepEqual([process.cwd, process.user], ["/", "0"]);
});

test("with a terminal TERM is set, unless the spec sets it", () => {
  const spec = create(ProcessSpecSchema, { args: ["sh"], terminal: true });
  assert.ok(execProcess(spec, init).env.includes("TERM=xterm"));
  const own = execProcess(spec, { ...init, env: ["PATH=/bin", "TERM=dumb"] });
  assert.deepEqual(
    own.env.filter((each) => each.startsWith("TERM=")),
    ["TERM=dumb"],
  );
});

test("an exec without a command is refused", () => {
  assert.throws(
    () => execProcess(create(ProcessSpecSchema, {}), init),
    (error) => error instanceof PaddockError && error.reason === "INVALID_FIELD",
  );
});
