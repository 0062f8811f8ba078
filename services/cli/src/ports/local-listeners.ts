import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { CliError } from "../cli-error.ts";
import type { PortPair } from "./port-pair.ts";

export type LocalListenersOptions = {
  /** IP address, or "localhost". */
  readonly address: string;
  readonly pairs: readonly PortPair[];
  /** Takes a connection to a local port, half-open when its client has ended it. */
  readonly onConnection: (socket: Socket, pair: PortPair) => void;
};

/** Ports of this host that are listened on. Disposing of it closes them. */
export type LocalListeners = Disposable & {
  /** The pairs as they were asked for, with the local ports that were taken. */
  readonly pairs: readonly PortPair[];
};

/** Listens on all local ports, or on none. Throws `CliError` for a port that cannot be had. */
export async function listenLocally(options: LocalListenersOptions): Promise<LocalListeners> {
  using servers = new DisposableStack();
  const pairs: PortPair[] = [];
  for (const pair of options.pairs) {
    const server = createServer({ allowHalfOpen: true }, (socket) => options.onConnection(socket, taken));
    servers.defer(() => void server.close());
    const taken = { ...pair, localPort: await listen(server, options.address, pair.localPort) };
    pairs.push(taken);
  }
  const moved = servers.move();
  return { pairs, [Symbol.dispose]: () => moved.dispose() };
}

/** The port that the server listens on. */
async function listen(server: Server, address: string, port: number): Promise<number> {
  try {
    server.listen({ host: address, port });
    await once(server, "listening");
  } catch (error) {
    throw cannotListen(address, port, error);
  }
  // A client may leave before it is accepted.
  server.on("error", () => {});
  const bound = server.address();
  return typeof bound === "object" && bound !== null ? bound.port : port;
}

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: "it is in use",
  EACCES: "only root may listen on it",
  EADDRNOTAVAIL: "this host does not have the address",
  ENOTFOUND: "this host does not know the address",
};

function cannotListen(address: string, port: number, cause: unknown): CliError {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  const why = REASONS[code] ?? (cause instanceof Error ? cause.message : String(cause));
  return new CliError(`cannot listen on port ${port} of ${address}: ${why}`, {
    hint: "an empty local port takes a free one: write :REMOTE",
    cause,
  });
}
