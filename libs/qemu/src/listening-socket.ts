/**
 * A unix socket that listens already when QEMU is given it, as a descriptor.
 *
 * QEMU runs as a user of its own and may be taken over by its guest. A socket that it made itself would need a directory that it may
 * write in, and there it could put a link to anything in the place of the socket that this daemon connects to.
 */
import { once } from "node:events";
import { chmod, rename, rm } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { dirname, join } from "node:path";
import { QemuError } from "./qemu-error.ts";

export interface ListeningSocket extends AsyncDisposable {
  /** For a child process. To be disposed of before anyone connects: until then, a connection may be taken here. */
  readonly fd: number;
}

let made = 0;

/** Makes a socket at `path`, for this process's user alone to connect to; what was there is replaced. It stays when disposed of. */
export async function listeningSocket(path: string): Promise<ListeningSocket> {
  // Node removes the name that it was made with when it lets go of it: by then it has another one.
  const aside = join(dirname(path), `new${made++ % 10_000}`);
  await rm(aside, { force: true });
  const server = createServer();
  server.listen(aside);
  await once(server, "listening");
  const close = async () => {
    server.close();
    await once(server, "close");
  };
  try {
    await chmod(aside, 0o600);
    await rename(aside, path);
    return { fd: descriptorOf(server), [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Node has no documented way to it, and `spawn` takes numbers. */
function descriptorOf(server: Server): number {
  const handle: unknown = Reflect.get(server, "_handle");
  if (typeof handle === "object" && handle !== null && "fd" in handle && typeof handle.fd === "number")
    if (handle.fd > 2) return handle.fd;
  throw new QemuError("spawn-failed", "this Node.js does not tell the descriptor of a listening socket");
}
