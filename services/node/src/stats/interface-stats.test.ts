import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { parseInterfaceCounters, planNetwork } from "@paddock/network";
import { ContainerStatsSchema } from "@paddock/protocol";
import { NO_NETWORK } from "../record/network-record.ts";
import { interfaceStats } from "./interface-stats.ts";

const network = {
  ...NO_NETWORK,
  interfaces: [{ interfaceId: "eth0", name: "eth0", index: 5, mac: "02:50:0a:58:00:05" }],
};
const reader = {
  network: planNetwork({ bridge: "paddock0", mtu: 1400, v4: "10.88.0.0/16" }),
  counters: async () => parseInterfaceCounters("paddock0-5: 10 1 0 0 0 0 0 0 20 2 0 3 0 0 0 0"),
};

test("host and guest report separate figures, both from the guest's point of view", async () => {
  const inGuest = create(ContainerStatsSchema, {
    network: [{ name: "lo" }, { name: "eth0", rxBytes: 18n, txBytes: 9n }],
  });
  const [stats] = await interfaceStats({ network }, reader, [inGuest]);
  assert.deepEqual(
    [stats?.host?.sentBytes, stats?.host?.receivedBytes, stats?.host?.receivedDropped],
    [10n, 20n, 3n],
  );
  assert.deepEqual([stats?.guest?.sentBytes, stats?.guest?.receivedBytes], [9n, 18n]);
});

test("figures that nobody counts are left out", async () => {
  const [stats] = await interfaceStats({ network }, { ...reader, counters: async () => new Map() }, []);
  assert.deepEqual([stats?.interfaceId, stats?.host, stats?.guest], ["eth0", undefined, undefined]);
  assert.deepEqual(await interfaceStats({ network }, undefined, []), []);
  assert.deepEqual(await interfaceStats({ network: NO_NETWORK }, reader, []), []);
});
