import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { PaddockError } from "@paddock/domain";
import { agentpb } from "@paddock/protocol";
import fc from "fast-check";
import { forwardPort } from "./port-call.ts";
import { PortFlow, WINDOW_BYTES } from "./port-flow.ts";

type Message = NonNullable<MessageInitShape<typeof agentpb.PortForwardResponseSchema>["message"]>;

const told = (message: Message | undefined) =>
  create(agentpb.PortForwardResponseSchema, { ...(message && { message }) });
const connected = (address = "127.0.0.1"): Message => ({ case: "connected", value: { address } });
const data = (bytes: number): Message => ({ case: "data", value: new Uint8Array(bytes) });
const ack = (offset: number): Message => ({ case: "ack", value: { offset: BigInt(offset) } });
const eof: Message = { case: "eof", value: {} };
const reset: Message = { case: "reset", value: { reason: "why" } };

function refuses(before: readonly Message[], message: Message | undefined): void {
  const flow = new PortFlow();
  for (const each of before) flow.take(told(each));
  assert.throws(() => flow.take(told(message)), { reason: "GUEST_FAILED" }, JSON.stringify(message?.case));
}

test("a message that a guest may not send ends the stream", () => {
  for (const message of [data(1), eof, ack(0), reset, undefined, connected("10.0.0.1"), connected("")])
    refuses([], message);
  for (const message of [connected(), undefined, data(0), data(65_537), ack(0), ack(1)])
    refuses([connected()], message);
  const full = [connected(), data(65_536), data(65_536)];
  refuses(full, data(1));
  refuses([connected(), eof], data(1));
  refuses([connected(), eof], eof);
  refuses([connected(), reset], eof);
});

test("a stream that a guest ends before the connection has ended is its failure", () => {
  for (const before of [[], [connected()], [connected(), eof]]) {
    const flow = new PortFlow();
    for (const each of before) flow.take(told(each));
    assert.throws(() => flow.close(), { reason: "GUEST_FAILED" });
  }
  const flow = new PortFlow();
  for (const each of [connected(), reset]) flow.take(told(each));
  flow.close();
});

test("whatever a guest sends, what is kept of it fits in the window, and the client gets each byte once", async () => {
  const message = fc.oneof(
    fc.constantFrom(connected(), connected(), eof, reset, undefined),
    fc.nat(70_000).map(data),
    fc.nat(10).map(ack),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(message, { maxLength: 12 }), fc.nat(4), async (said, takes) => {
      const ending = new AbortController();
      const flow = new PortFlow();
      const events = flow.events(ending.signal);
      let [accepted, taken] = [0, 0];
      try {
        flow.take(told(connected()));
        await events.next();
        for (const each of said) {
          flow.take(told(each));
          if (each?.case === "data") accepted += each.value?.length ?? 0;
          assert.ok(accepted - taken <= WINDOW_BYTES + 32 * 1024);
          for (let take = 0; take < takes && taken < accepted; take += 1) {
            const { value } = await events.next();
            if (value?.kind === "data") taken += value.data.length;
          }
          assert.ok(taken <= accepted);
        }
      } catch (error) {
        assert.ok(error instanceof PaddockError && error.reason === "GUEST_FAILED", String(error));
      } finally {
        ending.abort();
      }
    }),
    { numRuns: 300 },
  );
});

test("a guest that does not connect in time is DEADLINE", async () => {
  const silent = {
    steal: () => 0,
    network: {
      portForward: async function* (_requests: unknown, { signal }: { readonly signal?: AbortSignal } = {}) {
        yield* [];
        await new Promise((_resolve, reject) =>
          signal?.addEventListener("abort", () => reject(signal.reason)),
        );
      },
    },
  };
  const options = { inputs: (async function* () {})(), signal: new AbortController().signal, dialMs: 20 };
  await assert.rejects(forwardPort(silent, 80, options).next(), { reason: "DEADLINE" });
});
