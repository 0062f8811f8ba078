/**
 * A listening unix socket that QEMU inherits as a descriptor.
 *
 * QEMU runs as its own user, and a guest may compromise it. To create a socket itself, QEMU would need a writable directory, and
 * there a compromised QEMU could replace the socket that this daemon connects to with a link to another file.
 */
import { once } from "node:events";
import { chmod, rename, rm } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { dirname, join } from "node:path";
import { QemuError } from "./qemu-error.ts";

export interface ListeningSocket extends AsyncDisposable {
  /** Descriptor for a child process. Dispose of this object before a client connects; until then this process may accept the connection. */
  readonly fd: number;
}

export interface SocketOptions {
  /**
   * Whether accept(2) of the child waits for a connection. A client that connects before the disposal then blocks this process.
   * Default false.
   */
  readonly isBlocking?: boolean;
}

let made = 0;

/** Creates a socket at `path` that only this process's user can connect to. Replaces an existing file. Disposal does not remove it. */
export async function listeningSocket(
  path: string,
  { isBlocking = false }: SocketOptions = {},
): Promise<ListeningSocket> {
  // When Node closes the socket, it removes the path it was created with. The rename keeps the final path.
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
    if (isBlocking) setBlocking(server);
    return { fd: descriptorOf(server), [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Node has no documented way to do this, either. */
function setBlocking(server: Server): void {
  const handle: unknown = Reflect.get(server, "_handle");
  if (typeof handle === "object" && handle !== null && "setBlocking" in handle)
    if (typeof handle.setBlocking === "function" && handle.setBlocking(true) === 0) return;
  throw new QemuError("spawn-failed", "cannot make a listening socket of this version of Node.js block");
}

/** Node has no documented way to get the descriptor, which `spawn` needs as a number. */
function descriptorOf(server: Server): number {
  const handle: unknown = Reflect.get(server, "_handle");
  if (typeof handle === "object" && handle !== null && "fd" in handle && typeof handle.fd === "number")
    if (handle.fd > 2) return handle.fd;
  throw new QemuError(
    "spawn-failed",
    "cannot get the descriptor of a listening socket from this version of Node.js",
  );
}
