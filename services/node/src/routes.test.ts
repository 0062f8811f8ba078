import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { nodepb } from "@paddock/protocol";
import { COMMANDS, kindOf } from "./routes.ts";

test("what stops, kills, deletes or pauses a sandbox or container has room beside changes, and so has what reads", () => {
  for (const [name, kind] of Object.entries(COMMANDS)) {
    if (/^(stop|kill|signal|pause|resume|delete(Sandbox|Container))/.test(name))
      assert.equal(kind, "controls", name);
    else if (/^(get|list)/.test(name)) assert.equal(kind, "reads", name);
    else assert.notEqual(kind, "controls", name);
  }
});

test("a command that names nothing to do takes no room of changes", () => {
  assert.equal(kindOf(create(nodepb.CommandRequestSchema)), "reads");
});
