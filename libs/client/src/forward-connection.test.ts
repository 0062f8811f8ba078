import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createWritableIterable } from "@connectrpc/connect/protocol";
import { PaddockError } from "@paddock/domain";
import { SandboxService } from "@paddock/protocol";
import { forwardConnection, type LocalConnection } from "./forward-connection.ts";
import { SERVED, type ServedClient } from "./testing/served-client.ts";

const target = { sandboxId: "web", port: 80 };

/** A connection on this side, as its own client sees it. */
class FakeLocal implements LocalConnection {
  readonly #sent = createWritableIterable<Uint8Array>();
  readonly #lost = new AbortController();
  readonly data: AsyncIterable<Uint8Array> = this.#bytes();
  readonly lost = this.#lost.signal;
  readonly ended = Promise.withResolvers<void>();
  received = "";
  wasReset = false;
  /** Takes what is written; a slow reader settles late. */
  onWrite: () => Promise<void> = async () => undefined;

  async send(text: string | Uint8Array): Promise<void> {
    await this.#sent.write(Buffer.from(text));
  }

  finish(): void {
    this.#sent.close();
  }

  /** Its client resets it. */
  lose(): void {
    this.#lost.abort(new Error("reset"));
  }

  async write(data: Uint8Array): Promise<void> {
    await this.onWrite();
    this.received += Buffer.from(data);
  }

  end(): void {
    this.ended.resolve();
  }

  reset(): void {
    this.wasReset = true;
    this.#sent.close();
  }

  async *#bytes(): AsyncGenerator<Uint8Array> {
    yield* this.#sent;
    this.lost.throwIfAborted();
  }
}

/** Serves connections whose server answers each piece in upper case, and ends with its client. */
function serveUpper({ api }: ServedClient, sizes: number[] = []): void {
  api.duplex(SandboxService.method.portForward, async ({ requests, send }) => {
    for await (const { message } of requests) {
      if (message.case === "start") send({ message: { case: "connected", value: { address: "::1" } } });
      if (message.case === "eof") return send({ message: { case: "eof", value: {} } });
      if (message.case !== "data") continue;
      sizes.push(message.value.length);
      const value = Buffer.from(Buffer.from(message.value).toString().toUpperCase());
      send({ message: { case: "data", value } });
    }
  });
}

for (const [place, serve] of Object.entries(SERVED)) {
  describe(`a forwarded connection ${place}`, () => {
    test("carries both directions, each to its own end, in messages of at most 64 KiB", async () => {
      await using served = await serve();
      const sizes: number[] = [];
      serveUpper(served, sizes);
      const local = new FakeLocal();
      const forwarded = forwardConnection(served.client, target, local);
      await local.send("hello ");
      await local.send("x".repeat(150_000));
      local.finish();
      assert.deepEqual(await forwarded, { kind: "ended" });
      await local.ended.promise;
      assert.equal(local.received, `HELLO ${"X".repeat(150_000)}`);
      assert.deepEqual(sizes, [6, 65_536, 65_536, 18_928]);
      assert.equal(local.wasReset, false);
    });

    test("is reset on this side when the sandbox resets it, with the reason", async () => {
      await using served = await serve();
      served.api.duplex(SandboxService.method.portForward, async ({ send }) => {
        send({ message: { case: "connected", value: { address: "127.0.0.1" } } });
        send({ message: { case: "data", value: Buffer.from("last words") } });
        send({ message: { case: "reset", value: { reason: "Connection reset by peer" } } });
      });
      const local = new FakeLocal();
      const end = await forwardConnection(served.client, target, local);
      assert.deepEqual(end, { kind: "reset", by: "sandbox", reason: "Connection reset by peer" });
      assert.deepEqual([local.received, local.wasReset], ["last words", true]);
    });

    test("ends the call when its client resets it, while it is read and while it is written", async () => {
      await using served = await serve();
      let left = Promise.withResolvers<void>();
      served.api.duplex(SandboxService.method.portForward, async ({ send, closed }) => {
        send({ message: { case: "connected", value: { address: "127.0.0.1" } } });
        send({ message: { case: "data", value: Buffer.from("hello") } });
        await closed;
        left.resolve();
      });
      const idle = new FakeLocal();
      idle.onWrite = async () => void setImmediate(() => idle.lose());
      assert.deepEqual(await forwardConnection(served.client, target, idle), { kind: "reset", by: "local" });
      await left.promise;
      left = Promise.withResolvers();
      const written = new FakeLocal();
      written.onWrite = () => Promise.reject(new Error("EPIPE"));
      const end = await forwardConnection(served.client, target, written);
      assert.deepEqual(end, { kind: "reset", by: "local" });
      await left.promise;
    });

    test("fails with the error of the api, and is reset", async () => {
      await using served = await serve();
      served.api.duplex(SandboxService.method.portForward, async () => {
        throw new PaddockError("PORT_REFUSED", "nothing listens on port 80 in sandbox web");
      });
      const local = new FakeLocal();
      await assert.rejects(forwardConnection(served.client, target, local), { reason: "PORT_REFUSED" });
      assert.equal(local.wasReset, true);
    });

    test("fails when the connection to the api is cut, or ends without an end", async () => {
      await using served = await serve();
      served.api.duplex(SandboxService.method.portForward, async ({ send, closed }) => {
        send({ message: { case: "connected", value: { address: "127.0.0.1" } } });
        setImmediate(() => served.api.cut());
        await closed;
      });
      const local = new FakeLocal();
      await assert.rejects(forwardConnection(served.client, target, local), PaddockError);
      assert.equal(local.wasReset, true);
    });

    test("is reset when the caller aborts it, though its client reads nothing", async () => {
      await using served = await serve();
      served.api.duplex(SandboxService.method.portForward, async ({ send, closed }) => {
        send({ message: { case: "connected", value: { address: "127.0.0.1" } } });
        send({ message: { case: "data", value: Buffer.from("hello") } });
        await closed;
      });
      const stop = new AbortController();
      const stuck = Promise.withResolvers<void>();
      const local = new FakeLocal();
      local.reset = () => stuck.reject(new Error("reset"));
      local.onWrite = () => {
        stop.abort();
        return stuck.promise;
      };
      const end = forwardConnection(served.client, target, local, { signal: stop.signal });
      assert.deepEqual(await end, { kind: "reset", by: "local" });
    });
  });
}
