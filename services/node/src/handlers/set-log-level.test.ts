import assert from "node:assert/strict";
import { test } from "node:test";
import { LogLevel } from "@paddock/protocol";
import { TestNode } from "../testing/test-node.ts";

test("each level of the protocol is the level that the node logs at from then on, and no level is refused", async () => {
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
