import assert from "node:assert/strict";
import { test } from "node:test";
import { isOutcomeUnknown, PaddockError } from "@paddock/domain";
import { type LedgerEntry, type LedgerStore, RequestLedger } from "./request-ledger.ts";

function setUp(broken: Partial<LedgerStore> = {}) {
  const rows = new Map<string, LedgerEntry>();
  const ledger = new RequestLedger({
    find: (id) => rows.get(id),
    begin: (id, digest) => void rows.set(id, { digest, outcome: undefined }),
    finish: (id, outcome) => void rows.set(id, { digest: rows.get(id)?.digest ?? "", outcome }),
    ...broken,
  });
  return { rows, ledger };
}

const bytes = (text: string) => new TextEncoder().encode(text);
const patient = new AbortController().signal;
const request = { requestId: "r1", digest: "d1", signal: patient };

test("the same request runs once and is answered twice", async () => {
  const { ledger } = setUp();
  let runs = 0;
  const work = async () => bytes(`outcome ${++runs}`);
  assert.deepEqual(await ledger.once(request, work), bytes("outcome 1"));
  assert.deepEqual(await ledger.once(request, work), bytes("outcome 1"));
  assert.equal(runs, 1);
});

test("a repeat during the first request joins it", async () => {
  const { ledger } = setUp();
  const gate = Promise.withResolvers<Uint8Array>();
  const first = ledger.once(request, () => gate.promise);
  const second = ledger.once(request, async () => assert.fail("it must not run again"));
  gate.resolve(bytes("done"));
  assert.deepEqual(await Promise.all([first, second]), [bytes("done"), bytes("done")]);
});

test("the same id with another body is refused, also during the first request", async () => {
  const { ledger } = setUp();
  const gate = Promise.withResolvers<Uint8Array>();
  const first = ledger.once(request, () => gate.promise);
  const other = { ...request, digest: "other" };
  const refused = { reason: "REQUEST_ID_REUSED" };
  await assert.rejects(
    ledger.once(other, async () => bytes("")),
    refused,
  );
  gate.resolve(bytes("done"));
  await first;
  await assert.rejects(
    ledger.once(other, async () => bytes("")),
    refused,
  );
});

test("a failed request may be repeated with the same id and body only", async () => {
  const { ledger } = setUp();
  const failing = ledger.once(request, async () => {
    throw new Error("no room");
  });
  await assert.rejects(failing, /no room/);
  await assert.rejects(
    ledger.once({ ...request, digest: "other" }, async () => bytes("")),
    { reason: "REQUEST_ID_REUSED" },
  );
  assert.deepEqual(await ledger.once(request, async () => bytes("now")), bytes("now"));
});

test("every caller that joined a failing request gets the failure", async () => {
  const { ledger } = setUp();
  const gate = Promise.withResolvers<Uint8Array>();
  const both = [ledger.once(request, () => gate.promise), ledger.once(request, () => gate.promise)];
  gate.reject(new Error("broken"));
  for (const outcome of await Promise.allSettled(both)) assert.equal(outcome.status, "rejected");
});

test("a request that was running when the process died runs again", async () => {
  const { ledger, rows } = setUp();
  rows.set("r1", { digest: "d1", outcome: undefined });
  assert.deepEqual(await ledger.once(request, async () => bytes("again")), bytes("again"));
});

/** Work that the test ends, or that fails with its signal's reason after its undo. */
function workAtHand() {
  const gate = Promise.withResolvers<Uint8Array>();
  const undone = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const work = (signal: AbortSignal) => {
    begun.resolve();
    signal.addEventListener("abort", () => undone.promise.then(() => gate.reject(signal.reason)));
    return gate.promise;
  };
  return { gate, undone, begun: begun.promise, work };
}

test("when the first caller leaves, one that joined still gets the outcome", async () => {
  const { ledger } = setUp();
  const { gate, begun, work } = workAtHand();
  const client = new AbortController();
  const first = ledger.once({ ...request, signal: client.signal }, work);
  const second = ledger.once(request, async () => assert.fail("it must not run again"));
  await begun;
  client.abort(new Error("left"));
  await assert.rejects(first, /left/);
  gate.resolve(bytes("done"));
  assert.deepEqual(await second, bytes("done"));
});

test("when all callers have left, the work ends, and the last one waits until it is undone", async () => {
  const { ledger } = setUp();
  const { undone, begun, work } = workAtHand();
  const clients = [new AbortController(), new AbortController()];
  const calls = clients.map(({ signal }) => ledger.once({ ...request, signal }, work));
  const told: number[] = [];
  await begun;
  const settled = calls.map((call, index) => call.catch(() => void told.push(index)));
  for (const [index, client] of clients.entries()) client.abort(new Error(`left ${index}`));
  await settled[0];
  assert.deepEqual(told, [0]);
  undone.resolve();
  await assert.rejects(calls[1] ?? assert.fail(), /left 1/);
});

test("a caller that arrives while abandoned work is being undone runs it again afterwards", async () => {
  const { ledger } = setUp();
  const { undone, begun, work } = workAtHand();
  const client = new AbortController();
  const order: string[] = [];
  const first = ledger.once({ ...request, signal: client.signal }, work);
  await begun;
  client.abort(new Error("left"));
  const second = ledger.once(request, async () => {
    order.push("again");
    return bytes("again");
  });
  const gone = new AbortController();
  const third = ledger.once({ ...request, signal: gone.signal }, async () => assert.fail("it has left"));
  gone.abort(new Error("left as well"));
  await assert.rejects(third, /left as well/);
  order.push("undone");
  undone.resolve();
  await assert.rejects(first, /left/);
  assert.deepEqual(await second, bytes("again"));
  assert.deepEqual(order, ["undone", "again"]);
});

test("a request whose caller has already left does not run", async () => {
  const { ledger, rows } = setUp();
  const call = ledger.once({ ...request, signal: AbortSignal.abort(new Error("left")) }, async () =>
    assert.fail("it must not run"),
  );
  await assert.rejects(call, /left/);
  assert.equal(rows.size, 0);
});

const late = () => new PaddockError("DEADLINE", "too late");
const failure = (call: Promise<unknown>) =>
  call.then(
    () => assert.fail("it succeeded"),
    (error: unknown) => error,
  );

test("a caller that leaves while others wait, and a repeat that has already left, get an unknown outcome; the last caller does not", async () => {
  const { ledger } = setUp();
  const { begun, undone, work } = workAtHand();
  const clients = [new AbortController(), new AbortController()];
  const calls = clients.map(({ signal }) => failure(ledger.once({ ...request, signal }, work)));
  await begun;
  clients[0]?.abort(late());
  assert.ok(isOutcomeUnknown(await calls[0]));
  const gone = { ...request, signal: AbortSignal.abort(late()) };
  assert.ok(isOutcomeUnknown(await failure(ledger.once(gone, work))));
  clients[1]?.abort(late());
  undone.resolve();
  assert.equal(isOutcomeUnknown(await calls[1]), false);
  assert.ok(isOutcomeUnknown(await failure(ledger.once(gone, work))), "the id was used before");
  assert.equal(isOutcomeUnknown(await failure(ledger.once({ ...gone, requestId: "r2" }, work))), false);
});

test("a success that cannot be kept fails the call with an unknown outcome", async () => {
  const { ledger } = setUp({
    finish: () => {
      throw new PaddockError("NO_DISK_SPACE", "the disk is full");
    },
  });
  const error = await failure(ledger.once(request, async () => bytes("made")));
  assert.ok(isOutcomeUnknown(error));
});

test("isProven is called after the work has succeeded", async () => {
  const kept: boolean[] = [];
  const { ledger } = setUp({ finish: (_id, _outcome, isProven) => void kept.push(isProven) });
  let isMade = false;
  const work = async () => {
    isMade = true;
    return bytes("done");
  };
  await ledger.once({ ...request, isProven: () => isMade }, work);
  await ledger.once({ ...request, requestId: "r2" }, work);
  assert.deepEqual(kept, [true, false]);
});
