/**
 * The host's ports that lead to sandboxes.
 *
 * The rules of the host translate packets to such a port before any socket sees them. The daemon listens on each port all the same:
 * so no other program takes it, and a port that is taken is found before anything is made. Connections that the rules cannot
 * translate, those to [::1], arrive here and are passed on.
 */
import { createSocket } from "node:dgram";
import { existsSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { NetworkError } from "@paddock/network";
import type { PublishedPort } from "../record/network-record.ts";

type Listener = { readonly port: number } & AsyncDisposable;

/** Ports are tried so often when any will do: one that is free for TCP on IPv4 may be taken for IPv6. */
const TRIES = 5;

export class HostPorts implements AsyncDisposable {
  readonly #owners = new Map<string, AsyncDisposableStack>();

  /** Listens on the ports for an owner, on any that is free for port 0, and answers with the numbers. Throws `taken`, and then nothing is held. */
  async reserve(
    owner: string,
    ports: readonly PublishedPort[],
    guest: string,
  ): Promise<readonly PublishedPort[]> {
    await using stack = new AsyncDisposableStack();
    const reserved: PublishedPort[] = [];
    for (const port of ports) {
      const listener = stack.use(await listen(port, guest));
      reserved.push({ ...port, hostPort: listener.port });
    }
    await this.release(owner);
    this.#owners.set(owner, stack.move());
    return reserved;
  }

  /** Gives the ports of an owner back. Safe to repeat. */
  async release(owner: string): Promise<void> {
    const stack = this.#owners.get(owner);
    this.#owners.delete(owner);
    await stack?.disposeAsync();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#owners.keys()].map((owner) => this.release(owner)));
  }
}

async function listen(port: PublishedPort, guest: string): Promise<Listener> {
  for (let tries = 1; ; tries++)
    try {
      return await (port.protocol === "tcp" ? listenTcp(port, guest) : listenUdp(port));
    } catch (cause) {
      if (port.hostPort === 0 && tries < TRIES) continue;
      const where = `${port.hostAddress || "*"}:${port.hostPort}/${port.protocol}`;
      throw new NetworkError("taken", `cannot publish ${where}: ${reasonOf(cause)}`, { cause });
    }
}

/** Also takes IPv4, on a host that has both. */
const anyAddress = (): string => (existsSync("/proc/net/if_inet6") ? "::" : "0.0.0.0");

const reasonOf = (cause: unknown): string => {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
  if (code === "EADDRINUSE") return "the port is in use";
  return code === "EADDRNOTAVAIL" ? "the host does not have the address" : code;
};

async function listenTcp(
  { hostAddress, hostPort, guestPort }: PublishedPort,
  guest: string,
): Promise<Listener> {
  const server = createServer({ allowHalfOpen: true }, (socket) => passOn(socket, guest, guestPort));
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen({ port: hostPort, host: hostAddress || anyAddress() }, resolve);
  await promise;
  server.on("error", () => undefined);
  server.unref();
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : hostPort,
    [Symbol.asyncDispose]: async () => {
      server.close();
    },
  };
}

/** Both directions, each to its own end. */
function passOn(socket: Socket, host: string, port: number): void {
  const guest = connect({ host, port, allowHalfOpen: true });
  for (const [from, to] of [
    [socket, guest],
    [guest, socket],
  ] as const) {
    from.pipe(to);
    from.on("error", () => to.resetAndDestroy());
    from.on("close", () => to.destroySoon());
  }
}

async function listenUdp({ hostAddress, hostPort }: PublishedPort): Promise<Listener> {
  const address = hostAddress || anyAddress();
  const socket = createSocket({ type: address.includes(":") ? "udp6" : "udp4" });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once("error", reject);
  socket.bind({ port: hostPort, exclusive: true, address }, resolve);
  try {
    await promise;
  } catch (error) {
    socket.close();
    throw error;
  }
  socket.on("error", () => undefined);
  socket.unref();
  return {
    port: socket.address().port,
    [Symbol.asyncDispose]: async () => {
      socket.close();
    },
  };
}
