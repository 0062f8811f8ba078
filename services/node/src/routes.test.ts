import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { CommandRoom } from "@paddock/bus";
import { PaddockError } from "@paddock/domain";
import { nodepb } from "@paddock/protocol";
import { COMMAND_LIMITS, COMMANDS, kindOf } from "./routes.ts";

test("commands that stop, kill, delete or pause have room of their own beside changes, and so do reads", () => {
  for (const { method, kind } of COMMANDS.values()) {
    const name = method.localName;
    if (/^(stop|kill|signal|pause|resume|delete(Sandbox|Container))/.test(name))
      assert.equal(kind, "controls", name);
    else if (/^(get|list)/.test(name)) assert.equal(kind, "reads", name);
    else assert.notEqual(kind, "controls", name);
  }
});

test("a command without a method takes no room of changes", () => {
  assert.equal(kindOf(create(nodepb.CommandRequestSchema)), "reads");
});

test("changes that wait for a few sandboxes leave room for changes of others, and for reads and controls of their own", () => {
  const room = new CommandRoom("n1", COMMAND_LIMITS);
  const fill = (sandboxId: string) => {
    for (let count = 0; count < 10_000; count++) {
      try {
        room.take("changes", sandboxId);
      } catch (error) {
        assert.ok(error instanceof PaddockError && error.reason === "TOO_MANY");
        return count;
      }
    }
    throw new Error("there is no limit");
  };
  for (const sandboxId of ["a", "b", "c"]) assert.ok(fill(sandboxId) > 0);
  for (const kind of ["changes", "controls", "reads"] as const)
    room.take(kind, kind === "changes" ? "d" : "a");
});
