/**
 * The HTTP port: Connect, gRPC-Web and Connect JSON, served by connect-node; and /healthz, /readyz, /metrics.
 *
 * HTTP/1.1 and HTTP/2 share the port. With TLS, ALPN selects the version. Without TLS the first bytes do: a client with prior
 * knowledge of HTTP/2 begins with "PRI ". Bidirectional streams (Exec, Attach, ImportImage) need HTTP/2, the rest works on both.
 */
import { once } from "node:events";
import http from "node:http";
import http2 from "node:http2";
import type { AddressInfo, Server, Socket } from "node:net";
import { type ContextKey, createContextKey, createContextValues } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { toConnectError } from "@paddock/protocol";
import { CONNECT_OPTIONS, connectRoutes, FLOW_CONTROL_WINDOW_BYTES, formatHostPort } from "@paddock/rpc";
import type { Replaceable, Tls } from "../credentials.ts";
import type { CorsOrigins } from "./cross-origin.ts";
import type { AllowedHost } from "./known-hosts.ts";
import type { Listener, ListenerOptions } from "./listener.ts";
import { type OperatorPages, serveOperatorPage } from "./operator-pages.ts";
import { gated } from "./request-gate.ts";

export type HttpListenerOptions = ListenerOptions & {
  readonly pages: OperatorPages;
  readonly allowedHosts: readonly AllowedHost[];
  readonly corsOrigins: CorsOrigins;
};

type Handler = ReturnType<typeof connectNodeAdapter>;

const PEER: ContextKey<string> = createContextKey("unknown");
const HTTP2_OPTIONS = {
  settings: { initialWindowSize: FLOW_CONTROL_WINDOW_BYTES, maxConcurrentStreams: 1_024 },
  // Node.js counts the buffers of every stream here and fails calls above 10 MB. The flow-control windows bound them already.
  maxSessionMemory: 1_000,
};
/** A connection that sends nothing for this long is closed. */
const FIRST_BYTES_TIMEOUT_MS = 10_000;
const HANDSHAKE_TIMEOUT_MS = 10_000;
const PREFACE = Buffer.from("PRI ");

/** Listens on the address. Rejects if that fails. */
export async function listenHttp(options: HttpListenerOptions): Promise<Listener> {
  const { address: listen, allowedHosts, corsOrigins } = options;
  const handler = gated(handlerOf(options), {
    hosts: { listen: listen.host, allowed: allowedHosts },
    corsOrigins,
    isSecure: options.tls !== undefined,
  });
  const sockets = new Set<Socket>();
  const { server, close } = options.tls ? secureServer(options.tls, handler) : clearServer(handler);
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.once("close", () => sockets.delete(socket));
  });
  server.listen(listen.port, listen.host);
  await once(server, "listening");
  const { address, port } = server.address() as AddressInfo;
  return {
    address: formatHostPort({ host: address, port }),
    drain: async () => {
      const closed = once(server, "close");
      server.close();
      close();
      await closed;
    },
    destroy: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}

function handlerOf({ methods, edge, checkToken, pages }: HttpListenerOptions): Handler {
  return connectNodeAdapter({
    routes: connectRoutes(methods, edge, (context) => context.values.get(PEER)),
    ...CONNECT_OPTIONS,
    contextValues: ({ socket }) =>
      createContextValues().set(PEER, `${socket.remoteAddress ?? "unknown"}:${socket.remotePort ?? 0}`),
    ...(checkToken === undefined
      ? {}
      : {
          requestGate: ({ requestHeader }) => {
            try {
              checkToken(requestHeader.get("authorization") ?? undefined);
            } catch (error) {
              throw toConnectError(error);
            }
          },
        }),
    fallback: (request, response) => serveOperatorPage(request, response, pages, checkToken),
  });
}

type Served = { readonly server: Server; readonly close: () => void };

function secureServer(tls: Replaceable<Tls>, handler: Handler): Served {
  const contextOf = ({ certificate, key }: Tls) =>
    ({ cert: certificate, key, minVersion: "TLSv1.2" }) as const;
  const options = { ...HTTP2_OPTIONS, allowHTTP1: true, handshakeTimeout: HANDSHAKE_TIMEOUT_MS };
  const server = http2.createSecureServer({ ...options, ...contextOf(tls.current) }, handler);
  server.once(
    "close",
    tls.onChange((changed) => server.setSecureContext(contextOf(changed))),
  );
  return { server, close: trackSessions(server) };
}

/**
 * One port for both versions: the first bytes of a connection select the HTTP server. The HTTP/1.1 server listens, because its
 * timeouts and the closing of idle connections work only for a server that listens.
 */
function clearServer(handler: Handler): Served {
  const one = http.createServer(
    {
      requestTimeout: 0,
      headersTimeout: 10_000,
      keepAliveTimeout: 60_000,
      connectionsCheckingInterval: 5_000,
    },
    handler,
  );
  const two = http2.createServer(HTTP2_OPTIONS, handler);
  const close = trackSessions(two);
  const takers = one.listeners("connection");
  one.removeAllListeners("connection");
  one.on("connection", (socket: Socket) => {
    sniff(socket, (isHttp2) => {
      if (isHttp2) two.emit("connection", socket);
      else for (const take of takers) take.call(one, socket);
    });
  });
  return { server: one, close };
}

/** Waits for the first bytes of a connection and returns them without consuming them. */
function sniff(socket: Socket, decided: (isHttp2: boolean) => void): void {
  const giveUp = () => socket.destroy();
  socket.setTimeout(FIRST_BYTES_TIMEOUT_MS, giveUp);
  socket.once("error", giveUp);
  socket.once("readable", () => {
    const head: Buffer | null = socket.read();
    if (head === null) {
      giveUp();
      return;
    }
    socket.setTimeout(0);
    socket.off("timeout", giveUp);
    socket.off("error", giveUp);
    socket.unshift(head);
    decided(PREFACE.subarray(0, head.length).equals(head.subarray(0, PREFACE.length)));
  });
}

/**
 * Tracks the sessions of a server. The returned function makes each session refuse new streams (GOAWAY) and lets open ones end.
 */
function trackSessions(server: http2.Http2Server | http2.Http2SecureServer): () => void {
  const sessions = new Set<http2.ServerHttp2Session>();
  server.on("session", (session: http2.ServerHttp2Session) => {
    // The connection's own window, apart from those of its streams, starts at 64 KiB.
    session.setLocalWindowSize(FLOW_CONTROL_WINDOW_BYTES);
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
  });
  return () => {
    for (const session of sessions) session.close();
  };
}
