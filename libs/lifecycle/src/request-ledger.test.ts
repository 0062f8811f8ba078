import assert from "node:assert/strict";
import { test } from "node:test";
import { type LedgerEntry, RequestLedger } from "./request-ledger.ts";

function setUp() {
  const rows = new Map<string, LedgerEntry>();
  const ledger = new RequestLedger({
    find: (id) => rows.get(id),
    begin: (id, digest) => void rows.set(id, { digest, outcome: undefined }),
    finish: (id, outcome) => void rows.set(id, { digest: rows.get(id)?.digest ?? "", outcome }),
  });
  return { rows, ledger };
}

const bytes = (text: string) => new TextEncoder().encode(text);
const request = { requestId: "r1", digest: "d1" };

test("the same request is done once and answered twice", async () => {
  const { ledger } = setUp();
  let runs = 0;
  const work = async () => bytes(`outcome ${++runs}`);
  assert.deepEqual(await ledger.once(request, work), bytes("outcome 1"));
  assert.deepEqual(await ledger.once(request, work), bytes("outcome 1"));
  assert.equal(runs, 1);
});

test("one that comes while the first is under way joins it", async () => {
  const { ledger } = setUp();
  const gate = Promise.withResolvers<Uint8Array>();
  const first = ledger.once(request, () => gate.promise);
  const second = ledger.once(request, async () => assert.fail("it must not run again"));
  gate.resolve(bytes("done"));
  assert.deepEqual(await Promise.all([first, second]), [bytes("done"), bytes("done")]);
});

test("the same id with another body is refused, also while the first is under way", async () => {
  const { ledger } = setUp();
  const gate = Promise.withResolvers<Uint8Array>();
  const first = ledger.once(request, () => gate.promise);
  const other = { requestId: "r1", digest: "other" };
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

test("a request that failed may be tried again with the same id and body, and with no other", async () => {
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

test("everyone who joined a failing request learns of the failure", async () => {
  const { ledger } = setUp();
  const gate = Promise.withResolvers<Uint8Array>();
  const both = [ledger.once(request, () => gate.promise), ledger.once(request, () => gate.promise)];
  gate.reject(new Error("broken"));
  for (const outcome of await Promise.allSettled(both)) assert.equal(outcome.status, "rejected");
});

test("a request that was under way when the process died is done again", async () => {
  const { ledger, rows } = setUp();
  rows.set("r1", { digest: "d1", outcome: undefined });
  assert.deepEqual(await ledger.once(request, async () => bytes("anew")), bytes("anew"));
});
