/** The receiving end of `Monitor.saveState`: a unix socket that writes one device state to a file. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { chmod, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { QemuError } from "./qemu-error.ts";

export interface ReceiveStateOptions {
  /** Socket to create, in the machine's private directory. Removed on disposal. */
  readonly socketPath: string;
  /** Replaced if it exists. */
  readonly file: string;
  /** A longer state closes the connection. Without guest memory a state has some hundred KiB. */
  readonly maxBytes: number;
  /** Ends the wait for a sender that does not connect or does not close. */
  readonly signal: AbortSignal;
}

export interface StateReceiver extends AsyncDisposable {
  /** SHA-256 of the file in hexadecimal, after the sender has closed. Rejects with QemuError `qmp-protocol` beyond `maxBytes`. */
  readonly received: Promise<string>;
}

/** Passes on at most `maxBytes`, and computes their digest. */
function measure(maxBytes: number): { stream: Transform; digest(): string } {
  let bytes = 0;
  const hash = createHash("sha256");
  const stream = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      hash.update(chunk);
      if (bytes > maxBytes) done(new QemuError("qmp-protocol", `the device state exceeds ${maxBytes} bytes`));
      else done(null, chunk);
    },
  });
  return { stream, digest: () => hash.digest("hex") };
}

/** Resolves when the socket listens, so that `saveState` can be called. */
export async function receiveState(options: ReceiveStateOptions): Promise<StateReceiver> {
  const { socketPath, file, maxBytes, signal } = options;
  const server = createServer();
  const measured = measure(maxBytes);
  const received = once(server, "connection", { signal }).then(async ([socket]: Socket[]) => {
    if (socket === undefined) throw new QemuError("qmp-closed", "the state socket got no connection");
    await pipeline(socket, measured.stream, createWriteStream(file, { mode: 0o600 }), {
      signal,
    });
    return measured.digest();
  });
  received.catch(() => {});
  server.listen(socketPath);
  await once(server, "listening");
  // QEMU's user must be able to connect. The directory restricts access.
  await chmod(socketPath, 0o666);
  return {
    received,
    async [Symbol.asyncDispose]() {
      server.close();
      await rm(socketPath, { force: true });
    },
  };
}
