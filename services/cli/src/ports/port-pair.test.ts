import assert from "node:assert/strict";
import { test } from "node:test";
import { parsePortPair } from "./port-pair.ts";

test("a pair is REMOTE, LOCAL:REMOTE, or :REMOTE for a free local port", () => {
  assert.deepEqual(parsePortPair("80"), { localPort: 80, remotePort: 80 });
  assert.deepEqual(parsePortPair("8080:80"), { localPort: 8080, remotePort: 80 });
  assert.deepEqual(parsePortPair(":80"), { localPort: 0, remotePort: 80 });
  assert.deepEqual(parsePortPair("0:65535"), { localPort: 0, remotePort: 65_535 });
});

test("anything else is a usage error", () => {
  for (const text of [
    "",
    ":",
    "80:",
    "0",
    "8080:0",
    "70000",
    "70000:80",
    "1:2:3",
    "http",
    "-1",
    "8080:80/udp",
  ])
    assert.throws(() => parsePortPair(text), { name: "CliError", exitCode: 2 }, text);
});
