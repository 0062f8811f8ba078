/**
 * The node's side of connections from the api: a port on which nothing is served to those who have not proven who they are.
 *
 * grpc-js gets a connection when the proof is done. Until then it costs a socket and a TLS state: of these there are `MAX_UNPROVEN` at
 * most, each for `PROOF_TIMEOUT_MS` at most. When one more comes the oldest is closed, as it has had the most time: someone who
 * holds connections open does not keep the api out.
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

/** Credentials that may be replaced. */
export type PeerCredentialsSource = {
  readonly current: PeerCredentials;
  onChange(listener: (credentials: PeerCredentials) => void): () => void;
};

export type PeerListenerOptions = {
  readonly address: HostPort;
  readonly credentials: PeerCredentialsSource;
  /** This node. */
  readonly nodeId: string;
  /** Someone came who is not the api, or did not say in time. */
  readonly onRefused: (error: Error, peer: string) => void;
};

export type PeerListener = {
  /** The port that was got. */
  readonly port: number;
  /** Takes no more connections. Those that are served are the server's. */
  close(): void;
};

/** Serves `server` to the api alone. Rejects when the address cannot be had. */
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

/** What is replaced with the credentials. A new context also ends the resumption of sessions that the old one began. */
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
