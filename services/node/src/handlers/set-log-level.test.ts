import assert from "node:assert/strict";
import { test } from "node:test";
import { LogLevel } from "@paddock/protocol";
import { TestNode } from "../testing/test-node.ts";

test("the node logs at the given level from then on, for each level of the protocol, and an unset level is refused", async () => {
  await using node = await TestNode.start();
  const levels = [
    [LogLevel.TRACE, "trace"],
    [LogLevel.DEBUG, "debug"],
    [LogLevel.WARN, "warn"],
    [LogLevel.ERROR, "error"],
    [LogLevel.INFO, "info"],
  ] as const;
  for (const [level, name] of levels) {
    const outcome = await node.ask({ case: "setLogLevel", value: { level } });
    assert.ok(outcome.case === "setLogLevel");
    assert.deepEqual(outcome.value.nodeIds, ["n1"]);
    assert.equal(node.context.log.level, name);
  }
  const none = await node.ask({ case: "setLogLevel", value: { level: LogLevel.UNSPECIFIED } });
  assert.equal(none.case, "error");
  assert.equal(node.context.log.level, "info");
});
