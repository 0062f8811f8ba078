import assert from "node:assert/strict";
import { test } from "node:test";
import type { nodepb } from "@paddock/protocol";
import type { GrpcMethods } from "@paddock/rpc";
import { attachStart, CONTAINER, execStart, receive, SANDBOX, testBed } from "../testing/stream-test-bed.ts";

type Streams = GrpcMethods<typeof nodepb.NodeStreamService>;

async function all(responses: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of responses);
}

const bounded = () => ({ deadline: new Date(Date.now() + 20_000) });
const request = { sandboxId: SANDBOX, containerId: CONTAINER };
const calls: Record<string, (streams: Streams, generation: bigint) => Promise<unknown>> = {
  Exec: async (streams, generation) => {
    const call = streams.exec(bounded());
    await call.write({ ...execStart(["true"]), generation });
    await receive(call);
  },
  Attach: async (streams, generation) => {
    const call = streams.attach(bounded());
    await call.write({ ...attachStart(CONTAINER), generation });
    await receive(call);
  },
  WaitProcess: (streams, generation) =>
    streams.waitProcess({ request: { ...request, execId: CONTAINER }, generation }, bounded()),
  ReadLogs: (streams, generation) => all(streams.readLogs({ request, generation }, bounded())),
  WatchContainerStats: (streams, generation) =>
    all(streams.watchContainerStats({ request, generation }, bounded())),
  WatchSandboxStats: (streams, generation) =>
    all(streams.watchSandboxStats({ request: { sandboxId: SANDBOX }, generation }, bounded())),
};

for (const [name, call] of Object.entries(calls))
  test(`${name} of a placement that was superseded is STALE_GENERATION, and nothing is done for it`, async () => {
    await using bed = await testBed({ generation: 3n });
    await assert.rejects(call(bed.streams, 2n), (error: unknown) => {
      const { reason, metadata } = error as { reason: string; metadata: Record<string, string> };
      assert.equal(reason, "STALE_GENERATION", String(error));
      assert.equal(metadata.known_generation, "3");
      return true;
    });
    assert.deepEqual([...bed.fake.processes.keys()], []);
  });

test("a stream of the newest placement, and one that names none, are served", async () => {
  for (const generation of [0n, 3n, 4n]) {
    await using bed = await testBed({ generation: 3n });
    const call = bed.streams.exec();
    await call.write({ ...execStart(["true"]), generation });
    for await (const { response } of call) {
      assert.equal(response?.output?.output.case, "started");
      break;
    }
  }
});
