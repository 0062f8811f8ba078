/** The receiving end of `Monitor.saveState`: a unix socket that writes one device state to a file. */
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
  readonly file: string;
  /** A longer state closes the connection. Without guest memory a state has some hundred KiB. */
  readonly maxBytes: number;
}

export interface StateReceiver extends AsyncDisposable {
  /** Bytes written, after the sender has closed. Rejects with QemuError `qmp-protocol` beyond `maxBytes`. */
  readonly received: Promise<number>;
}

function limit(maxBytes: number): { stream: Transform; bytes(): number } {
  let bytes = 0;
  const stream = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      if (bytes > maxBytes) done(new QemuError("qmp-protocol", `the device state exceeds ${maxBytes} bytes`));
      else done(null, chunk);
    },
  });
  return { stream, bytes: () => bytes };
}

/** Resolves when the socket listens, so that `saveState` can be called. */
export async function receiveState(options: ReceiveStateOptions): Promise<StateReceiver> {
  const { socketPath, file, maxBytes } = options;
  const server = createServer();
  const counter = limit(maxBytes);
  const received = once(server, "connection").then(async ([socket]: Socket[]) => {
    if (socket === undefined) throw new QemuError("qmp-closed", "the state socket got no connection");
    await pipeline(socket, counter.stream, createWriteStream(file, { mode: 0o600 }));
    return counter.bytes();
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
