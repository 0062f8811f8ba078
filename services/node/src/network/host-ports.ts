/**
 * The published ports of the host.
 *
 * The host's rules translate packets to such a port before any socket sees them. The daemon listens on each port all the same,
 * so that no other program can take it, and a port in use is found before any change. Connections that the rules cannot
 * translate, those to [::1], arrive here and are forwarded.
 */
import { createSocket } from "node:dgram";
import { existsSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { NetworkError } from "@paddock/network";
import type { PublishedPort } from "../record/network-record.ts";

/** A listening port. It forwards connections to `port.guestPort` of the guest, which may change. */
type Listener = { port: PublishedPort } & AsyncDisposable;

/** New ports of an owner, not in use yet. */
export type PortChange = {
  readonly published: readonly PublishedPort[];
  /** Replaces the owner's former ports, and releases those that are not among the new ones. */
  commit(): Promise<void>;
  /** Releases the new ports, unless they were committed. */
} & AsyncDisposable;

/** Attempts to find a port that is free everywhere: one that is free for TCP on IPv4 may be in use on IPv6. */
const TRIES = 5;

/** The address, protocol and number of a listening port. */
const placeOf = ({ hostAddress, protocol, hostPort }: PublishedPort): string =>
  `${hostAddress} ${protocol} ${hostPort}`;

export class HostPorts implements AsyncDisposable {
  readonly #owners = new Map<string, readonly Listener[]>();

  /**
   * Listens on the ports for an owner, in place of its former ports, and returns them with their numbers. Port 0 means any free
   * port. Throws `taken`; the owner then keeps its former ports.
   */
  async reserve(
    owner: string,
    ports: readonly PublishedPort[],
    guest: string,
  ): Promise<readonly PublishedPort[]> {
    await using change = await this.change(owner, ports, guest);
    await change.commit();
    return change.published;
  }

  /** Like `reserve`, but the former ports stay until the change is committed. A port that the owner listens on stays open. */
  async change(owner: string, ports: readonly PublishedPort[], guest: string): Promise<PortChange> {
    await using opened = new AsyncDisposableStack();
    const own = new Map((this.#owners.get(owner) ?? []).map((each) => [placeOf(each.port), each]));
    const next: { readonly listener: Listener; readonly port: PublishedPort }[] = [];
    for (const port of ports) {
      const known = own.get(placeOf(port));
      // A second port of the list at the same place is refused as taken.
      own.delete(placeOf(port));
      const listener = known ?? opened.use(await listen(port, guest));
      next.push({ listener, port: { ...port, hostPort: listener.port.hostPort } });
    }
    const held = opened.move();
    return {
      published: next.map(({ port }) => port),
      commit: async () => {
        held.move();
        for (const { listener, port } of next) listener.port = port;
        this.#owners.set(
          owner,
          next.map(({ listener }) => listener),
        );
        await Promise.all([...own.values()].map((each) => each[Symbol.asyncDispose]()));
      },
      [Symbol.asyncDispose]: () => held.disposeAsync(),
    };
  }

  /** Releases the ports of an owner. Safe to repeat. */
  async release(owner: string): Promise<void> {
    const listeners = this.#owners.get(owner) ?? [];
    this.#owners.delete(owner);
    await Promise.all(listeners.map((each) => each[Symbol.asyncDispose]()));
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

/** Includes IPv4 on a host with both. */
const anyAddress = (): string => (existsSync("/proc/net/if_inet6") ? "::" : "0.0.0.0");

const reasonOf = (cause: unknown): string => {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
  if (code === "EADDRINUSE") return "the port is in use";
  return code === "EADDRNOTAVAIL" ? "the host does not have the address" : code;
};

async function listenTcp(port: PublishedPort, guest: string): Promise<Listener> {
  const { hostAddress, hostPort } = port;
  const server = createServer({ allowHalfOpen: true }, (socket) =>
    forward(socket, guest, listener.port.guestPort),
  );
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen({ port: hostPort, host: hostAddress || anyAddress() }, resolve);
  await promise;
  server.on("error", () => undefined);
  server.unref();
  const address = server.address();
  const listener: Listener = {
    port: { ...port, hostPort: typeof address === "object" && address !== null ? address.port : hostPort },
    [Symbol.asyncDispose]: async () => {
      server.close();
    },
  };
  return listener;
}

/** Forwards both directions, each to its own end. */
function forward(socket: Socket, host: string, port: number): void {
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

async function listenUdp(port: PublishedPort): Promise<Listener> {
  const { hostAddress, hostPort } = port;
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
    port: { ...port, hostPort: socket.address().port },
    [Symbol.asyncDispose]: async () => {
      socket.close();
    },
  };
}
