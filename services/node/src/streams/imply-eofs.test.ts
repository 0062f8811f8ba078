import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { OutputStream, type ProcessOutput, ProcessOutputSchema } from "@paddock/protocol";
import { implyEofs } from "./imply-eofs.ts";

type Output = Exclude<MessageInitShape<typeof ProcessOutputSchema>["output"], undefined>;

const out = (output: Output): ProcessOutput => create(ProcessOutputSchema, { output });
const eof = (stream: OutputStream) => out({ case: "eof", value: { stream, offset: 0n } });
const exited = out({ case: "exited", value: { code: 0 } });
const chunk = out({
  case: "chunk",
  value: { stream: OutputStream.STDERR, offset: 0n, data: new Uint8Array(1) },
});

async function casesOf(outputs: AsyncIterable<ProcessOutput>) {
  return (await Array.fromAsync(implyEofs(outputs))).map(({ output }) => output.case);
}

test("ends of streams directly before the exit are left out", async () => {
  const outputs = (async function* () {
    yield chunk;
    yield eof(OutputStream.STDOUT);
    yield eof(OutputStream.STDERR);
    yield exited;
  })();
  assert.deepEqual(await casesOf(outputs), ["chunk", "exited"]);
});

test("an end is sent before later output", async () => {
  const outputs = (async function* () {
    yield eof(OutputStream.STDOUT);
    yield chunk;
    yield exited;
  })();
  assert.deepEqual(await casesOf(outputs), ["eof", "chunk", "exited"]);
});

test("an end is sent while the process runs", async () => {
  const goesOn = Promise.withResolvers<void>();
  const outputs = (async function* () {
    yield eof(OutputStream.STDOUT);
    await goesOn.promise;
    yield exited;
  })();
  const told = implyEofs(outputs);
  assert.equal((await told.next()).value?.output.case, "eof");
  goesOn.resolve();
  assert.equal((await told.next()).value?.output.case, "exited");
});

test("a stream that ends without an exit sends its ends, and a failure is passed on", async () => {
  const outputs = (async function* () {
    yield eof(OutputStream.STDOUT);
    throw new Error("the link broke");
  })();
  await assert.rejects(casesOf(outputs), /the link broke/);
});

test("a client that leaves ends the source", async () => {
  let ended = false;
  const outputs = (async function* () {
    try {
      yield chunk;
      yield chunk;
    } finally {
      ended = true;
    }
  })();
  for await (const _ of implyEofs(outputs)) break;
  assert.ok(ended);
});
