/**
 * The handshake that opens the link to a guest's agent.
 *
 * The port is one byte stream that outlives the daemons at its host end, so the first bytes may be the rest of a dead daemon's
 * HTTP/2 frames. The node sends `HELLO` with a nonce and discards everything up to `READY` with that nonce: 128 random bits
 * that no tenant can guess, so nothing that a tenant writes can be taken for it.
 *
 * QEMU does not read the socket until the guest has opened the port (`virtio_serial_guest_ready` answers 0), so HELLO waits in
 * the socket's buffer and reaches the agent as soon as it listens. So one HELLO opens the link of a VM that is still booting,
 * without polling. It is sent again, with a new nonce, only after a long silence, in case the guest lost it. An agent accepts a
 * HELLO inside an unfinished frame only after a silence of 250 ms, so sending it more often would prevent that. An agent that
 * reads two HELLOs answers both and keeps the connection of the last, so only the last nonce counts here.
 */
import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { PaddockError } from "@paddock/domain";

/** "PADDOCK/1 READY ", 32 hex digits and a newline. */
const READY_BYTES = 49;

export type HandshakeOptions = {
  readonly signal: AbortSignal;
  /** The most bytes of an older connection that are discarded before READY. */
  readonly maxDiscardedBytes?: number;
  /** Silence after which HELLO is sent again, in ms; doubles up to 16 times this. */
  readonly repeatAfterMs?: number;
};

/**
 * Sends HELLO and waits for READY. Bytes after READY are put back into the socket. Does not close the socket. Throws
 * the signal's reason, or GUEST_UNAVAILABLE when the guest floods or hangs up.
 */
export async function shakeHands(socket: Socket, options: HandshakeOptions): Promise<void> {
  const { signal, maxDiscardedBytes = 32 * 1024 * 1024, repeatAfterMs = 2000 } = options;
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const search = new ReadySearch();
  let delayMs = repeatAfterMs;
  let timer: NodeJS.Timeout | undefined;
  const hello = () => {
    const nonce = randomBytes(16).toString("hex");
    search.expect(nonce);
    socket.write(`PADDOCK/1 HELLO ${nonce}\n`);
    timer = setTimeout(hello, delayMs);
    delayMs = Math.min(delayMs * 2, repeatAfterMs * 16);
  };
  const onReadable = () => {
    for (let bytes = socket.read(); bytes !== null; bytes = socket.read()) {
      const rest = search.feed(bytes);
      if (rest !== undefined) {
        stop();
        if (rest.length > 0) socket.unshift(rest);
        return resolve();
      }
      if (search.discardedBytes > maxDiscardedBytes)
        return reject(unavailable(`sent ${search.discardedBytes} bytes and no READY`));
    }
  };
  const onEnd = () => reject(unavailable("hung up before READY"));
  const onError = (cause: Error) => reject(unavailable("broke the link before READY", cause));
  const onAbort = () => reject(signal.reason);
  const stop = () => {
    clearTimeout(timer);
    socket.off("readable", onReadable).off("end", onEnd).off("close", onEnd).off("error", onError);
    signal.removeEventListener("abort", onAbort);
  };
  socket.on("readable", onReadable).on("end", onEnd).on("close", onEnd).on("error", onError);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    hello();
    await promise;
  } finally {
    stop();
  }
}

const unavailable = (what: string, cause?: unknown): PaddockError =>
  new PaddockError("GUEST_UNAVAILABLE", `the guest ${what}`, {
    cause,
    hint: "the guest's agent is not running, or is not the one that this node started",
  });

/** Finds READY in a stream, and keeps no more than one line of it. */
class ReadySearch {
  discardedBytes = 0;
  #needle = Buffer.alloc(0);
  #tail = Buffer.alloc(0);

  expect(nonce: string): void {
    this.#needle = Buffer.from(`PADDOCK/1 READY ${nonce}\n`, "latin1");
  }

  /** Returns the bytes after READY, or undefined when it has not arrived yet. */
  feed(bytes: Buffer): Buffer | undefined {
    const seen = this.#tail.length === 0 ? bytes : Buffer.concat([this.#tail, bytes]);
    const at = seen.indexOf(this.#needle);
    if (at >= 0) return seen.subarray(at + this.#needle.length);
    this.discardedBytes += bytes.length;
    this.#tail = Buffer.from(seen.subarray(Math.max(0, seen.length - READY_BYTES + 1)));
    return undefined;
  }
}
