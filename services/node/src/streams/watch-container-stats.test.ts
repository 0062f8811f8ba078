import assert from "node:assert/strict";
import { test } from "node:test";
import { agentpb } from "@paddock/protocol";
import { CONTAINER, SANDBOX, testBed } from "../testing/stream-test-bed.ts";

test("figures are sent at the interval, with the CPU used in between, until the container ends", async () => {
  let seconds = 100n;
  await using bed = await testBed({
    routes: (router) =>
      router.service(agentpb.ContainerService, {
        getContainerStats: () => {
          seconds += 1n;
          return { time: { seconds, nanos: 0 }, cpu: { usageUs: seconds * 250_000n } };
        },
      }),
  });
  const interval = { seconds: 0n, nanos: 100_000_000 };
  const request = { sandboxId: SANDBOX, containerId: CONTAINER, interval };
  const percents: number[] = [];
  for await (const { cpuPercent } of bed.streams.watchContainerStats(request)) {
    percents.push(cpuPercent);
    if (percents.length === 3) bed.phase = { kind: "stopped", cause: "requested", stoppedAtMs: 1 };
  }
  // The end of the container reaches the node while readings are in flight.
  assert.deepEqual(percents, [0, 25, 25, ...percents.slice(3).map(() => 25)]);
});
