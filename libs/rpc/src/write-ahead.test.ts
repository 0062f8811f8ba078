import assert from "node:assert/strict";
import { once } from "node:events";
import { after, test } from "node:test";
import { Client, credentials, Server, ServerCredentials, ServerInterceptingCall } from "@grpc/grpc-js";
import { WRITE_AHEAD_BYTES, writeAhead } from "./write-ahead.ts";

const server = new Server({
  interceptors: [
    // Acts as the socket of a call: it accepts messages when the test allows it. The first of the list is next to the wire.
    (_method, call) =>
      new ServerInterceptingCall(call, {
        sendMessage: (message, next) => void stalled.promise.then(() => next(message)),
      }),
    writeAhead,
  ],
});
const stalled = Promise.withResolvers<void>();
const calls = Promise.withResolvers<NodeJS.WritableStream>();
const raw = (bytes: Buffer) => bytes;
const method = {
  path: "/test.Bytes/Watch",
  requestStream: false,
  responseStream: true,
  requestSerialize: raw,
  requestDeserialize: raw,
  responseSerialize: raw,
  responseDeserialize: raw,
};
server.addService({ watch: method }, { watch: (call: NodeJS.WritableStream) => calls.resolve(call) });
after(() => server.forceShutdown());

test("small messages count as accepted at once up to a limit, others when the socket has accepted them", async () => {
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  const responses = client.makeServerStreamRequest(method.path, raw, raw, Buffer.of());
  const received: number[] = [];
  responses.on("data", (bytes: Buffer) => received.push(bytes.length));
  const call = await calls.promise;
  const taken: number[] = [];
  const write = (bytes: number) => call.write(Buffer.alloc(bytes), () => taken.push(bytes));
  write(10);
  write(WRITE_AHEAD_BYTES - 10);
  write(1);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(taken, [10, WRITE_AHEAD_BYTES - 10]);
  const ended = once(responses, "end");
  stalled.resolve();
  call.end();
  await ended;
  assert.deepEqual(taken, [10, WRITE_AHEAD_BYTES - 10, 1]);
  assert.deepEqual(received, taken);
  client.close();
});
