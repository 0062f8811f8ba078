/**
 * The node's side of connections from the api: a port that serves only clients that have authenticated as the api.
 *
 * grpc-js gets a connection after authentication. Until then the connection costs a socket and TLS state, so at most
 * `MAX_UNPROVEN` of them exist, each for at most `PROOF_TIMEOUT_MS`. One more closes the oldest, which has had the most time. So
 * a client that keeps connections open does not block the api.
 */
import { once } from "node:events";
import type { AddressInfo, Socket } from "node:net";
import { createServer, type TLSSocket, type TlsOptions } from "node:tls";
import { type Server, ServerCredentials } from "@grpc/grpc-js";
import type { HostPort } from "./host-port.ts";
import { PROOF_TIMEOUT_MS, SECRET_CIPHER, SECRET_IDENTITY } from "./peer-channel.ts";
import { type PeerCredentials, peerKey } from "./peer-credentials.ts";
import { nameProblem } from "./peer-name.ts";

const MAX_UNPROVEN = 64;

/** Credentials that may change. */
export type PeerCredentialsSource = {
  readonly current: PeerCredentials;
  onChange(listener: (credentials: PeerCredentials) => void): () => void;
};

export type PeerListenerOptions = {
  readonly address: HostPort;
  readonly credentials: PeerCredentialsSource;
  /** This node. */
  readonly nodeId: string;
  /** Called if a client is not the api, or has not authenticated in time. */
  readonly onRefused: (error: Error, peer: string) => void;
};

export type PeerListener = {
  /** The port that the server listens on. */
  readonly port: number;
  /** Accepts no more connections. The server closes the existing ones. */
  close(): void;
};

/** Serves `server` to the api alone. Rejects if it cannot listen on the address. */
export async function listenForPeer(server: Server, options: PeerListenerOptions): Promise<PeerListener> {
  const { address, credentials, nodeId, onRefused } = options;
  const served = server.createConnectionInjector(ServerCredentials.createInsecure());
  const door = createServer(proof(credentials, nodeId));
  const unproven = new Map<string, Socket>();
  door.on("connection", (socket: Socket) => {
    const peer = peerOf(socket);
    unproven.set(peer, socket);
    socket.once("close", () => unproven.delete(peer));
    socket.setNoDelay(true);
    if (unproven.size > MAX_UNPROVEN) unproven.values().next().value?.destroy();
  });
  door.on("secureConnection", (socket) => {
    socket.on("error", () => {});
    unproven.delete(peerOf(socket));
    const problem = problemOf(credentials.current, socket);
    if (problem === undefined) {
      served.injectConnection(socket);
      return;
    }
    onRefused(new Error(problem), peerOf(socket));
    socket.destroy();
  });
  door.on("tlsClientError", (error, socket) => {
    onRefused(error, peerOf(socket));
    socket.destroy();
  });
  const forget = credentials.onChange((changed) => door.setSecureContext(contextOf(changed)));
  door.listen(address.port, address.host);
  await once(door, "listening");
  return {
    port: (door.address() as AddressInfo).port,
    close: () => {
      forget();
      door.close();
      for (const socket of unproven.values()) socket.destroy();
    },
  };
}

function proof(credentials: PeerCredentialsSource, nodeId: string): TlsOptions {
  const { current } = credentials;
  const always = { ...contextOf(current), ALPNProtocols: ["h2"], handshakeTimeout: PROOF_TIMEOUT_MS };
  if (current.kind === "certificate") return { ...always, requestCert: true, rejectUnauthorized: true };
  return {
    ...always,
    pskCallback: (_socket, identity) => {
      const now = credentials.current;
      return identity === SECRET_IDENTITY && now.kind === "secret" ? peerKey(now.secret, nodeId) : null;
    },
  };
}

/** The TLS context of the credentials. A new one cannot resume the sessions of the old one. */
function contextOf(credentials: PeerCredentials): TlsOptions {
  if (credentials.kind === "secret") return { minVersion: "TLSv1.3", ciphers: SECRET_CIPHER };
  const { certificate, key, ca } = credentials;
  return { minVersion: "TLSv1.3", cert: certificate, key, ca };
}

function problemOf(credentials: PeerCredentials, socket: TLSSocket): string | undefined {
  if (credentials.kind === "secret") return undefined;
  if (!socket.authorized) return `its certificate is not valid: ${socket.authorizationError}`;
  return nameProblem(socket.getPeerCertificate().subjectaltname, { kind: "api" });
}

const peerOf = ({ remoteAddress, remotePort }: Socket): string =>
  `${remoteAddress ?? "unknown"}:${remotePort ?? 0}`;
