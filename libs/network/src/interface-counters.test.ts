import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { parseInterfaceCounters } from "./interface-counters.ts";

test("the counters of each interface are read, also beside a name that fills its column", () => {
  const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0
paddock0-12345:1000 10    2    3    0     0          0         0     2000      20    4    5    0     0       0          0
`;
  const counters = parseInterfaceCounters(text);
  assert.deepEqual([...counters.keys()], ["lo", "paddock0-12345"]);
  assert.deepEqual(counters.get("paddock0-12345"), {
    rxBytes: 1000n,
    rxPackets: 10n,
    rxErrors: 2n,
    rxDropped: 3n,
    txBytes: 2000n,
    txPackets: 20n,
    txErrors: 4n,
    txDropped: 5n,
  });
});

test("this host's counters are read", async () => {
  assert.ok(parseInterfaceCounters(await readFile("/proc/self/net/dev", "utf8")).has("lo"));
});
