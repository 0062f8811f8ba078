import assert from "node:assert/strict";
import { test } from "node:test";
import { CopyFormat, GENERATION_KEY } from "@paddock/protocol";
import type { CallOptions } from "@paddock/rpc";
import {
  attachStart,
  CONTAINER,
  execStart,
  receive,
  SANDBOX,
  type Streams,
  testBed,
} from "../testing/stream-test-bed.ts";

async function all(responses: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of responses);
}

const placed = (generation: bigint): CallOptions => ({
  deadline: new Date(Date.now() + 20_000),
  metadata: { [GENERATION_KEY]: String(generation) },
});
const request = { sandboxId: SANDBOX, containerId: CONTAINER };
const file = { ...request, format: CopyFormat.FILE };
const calls: Record<string, (streams: Streams, options: CallOptions) => Promise<unknown>> = {
  Exec: async (streams, options) => {
    const call = streams.exec(options);
    await call.write(execStart(["true"]));
    await receive(call);
  },
  Attach: async (streams, options) => {
    const call = streams.attach(options);
    await call.write(attachStart(CONTAINER));
    await receive(call);
  },
  WaitProcess: (streams, options) => streams.waitProcess({ ...request, execId: CONTAINER }, options),
  ReadLogs: (streams, options) => all(streams.readLogs(request, options)),
  WatchContainerStats: (streams, options) => all(streams.watchContainerStats(request, options)),
  PortForward: async (streams, options) => {
    const call = streams.portForward(options);
    await call.write({ message: { case: "start", value: { sandboxId: SANDBOX, port: 80 } } });
    await all(call);
  },
  CopyFrom: (streams, options) => all(streams.copyFrom({ ...file, path: "/f" }, options)),
  CopyTo: async (streams, options) => {
    const call = streams.copyTo(options);
    await call.write({ message: { case: "start", value: { ...file, path: "/f", transferId: "t" } } });
    await all(call);
  },
  WatchFiles: (streams, options) => all(streams.watchFiles({ ...request, path: "/" }, options)),
  WatchSandboxStats: (streams, options) => all(streams.watchSandboxStats({ sandboxId: SANDBOX }, options)),
};

for (const [name, call] of Object.entries(calls))
  test(`${name} of a superseded placement is STALE_GENERATION, and has no effect`, async () => {
    await using bed = await testBed({ generation: 3n });
    await assert.rejects(call(bed.streams, placed(2n)), (error: unknown) => {
      const { reason, metadata } = error as { reason: string; metadata: Record<string, string> };
      assert.equal(reason, "STALE_GENERATION", String(error));
      assert.equal(metadata.known_generation, "3");
      return true;
    });
    assert.deepEqual([...bed.fake.processes.keys()], []);
  });

test("a stream of the newest placement and a stream without one are served", async () => {
  for (const options of [{}, placed(0n), placed(3n), placed(4n)]) {
    await using bed = await testBed({ generation: 3n });
    const call = bed.streams.exec(options);
    await call.write(execStart(["true"]));
    for await (const { output } of call) {
      assert.equal(output?.output.case, "started");
      break;
    }
  }
});

test("a generation that is not a number is refused", async () => {
  await using bed = await testBed();
  const metadata = { [GENERATION_KEY]: "newest" };
  await assert.rejects(all(bed.streams.readLogs(request, { metadata })), { reason: "INVALID_FIELD" });
});
