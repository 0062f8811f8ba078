/**
 * The api's side of a connection to a node. HTTP/2 starts after both sides have authenticated.
 *
 * This is a custom `ChannelCredentials`. Those of grpc-js do not support a pre-shared key, check the name of a host, which has no
 * meaning here, and never change; these use the current contents of the files for each new connection.
 */
import type { Socket } from "node:net";
import { type ConnectionOptions, connect } from "node:tls";
import { CallCredentials, ChannelCredentials } from "@grpc/grpc-js";
import { type PeerCredentials, peerKey } from "./peer-credentials.ts";
import { nameProblem } from "./peer-name.ts";

type SecureConnector = ReturnType<ChannelCredentials["_createSecureConnector"]>;

/** In TLS 1.3 the cipher must use the hash of the pre-shared key. */
export const SECRET_CIPHER = "TLS_AES_128_GCM_SHA256";
/** How long either side may take to authenticate. */
export const PROOF_TIMEOUT_MS = 10_000;
export const SECRET_IDENTITY = "paddock-stream";

/** Part of the message of each call that failed because authentication failed. */
export const NOT_AUTHENTICATED = "could not authenticate each other";

export type PeerChannelOptions = {
  /** The current credentials. */
  readonly credentials: () => PeerCredentials;
  /** The node expected at the address. */
  readonly nodeId: string;
  /** Called if another service answers there, or the node refuses this one. */
  readonly onRefused: (error: Error) => void;
};

export class PeerChannelCredentials extends ChannelCredentials {
  readonly #options: PeerChannelOptions;

  constructor(options: PeerChannelOptions) {
    super();
    this.#options = options;
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(
    _target: unknown,
    _options: unknown,
    callCredentials?: CallCredentials,
  ): SecureConnector {
    return {
      connect: (socket) => this.#prove(socket),
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => callCredentials ?? CallCredentials.createEmpty(),
      destroy: () => {},
    };
  }

  async #prove(socket: Socket): ReturnType<SecureConnector["connect"]> {
    const { credentials, nodeId, onRefused } = this.#options;
    try {
      return { socket: await secured({ socket, ...proof(credentials(), nodeId) }), secure: true };
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      const error = new Error(`api and node ${nodeId} ${NOT_AUTHENTICATED}: ${why}`, {
        cause,
      });
      onRefused(error);
      throw error;
    }
  }
}

function proof(credentials: PeerCredentials, nodeId: string): ConnectionOptions {
  const always = { ALPNProtocols: ["h2"], minVersion: "TLSv1.3", rejectUnauthorized: true } as const;
  switch (credentials.kind) {
    case "secret":
      return {
        ...always,
        ciphers: SECRET_CIPHER,
        pskCallback: () => ({ psk: peerKey(credentials.secret, nodeId), identity: SECRET_IDENTITY }),
        // A server may send a certificate instead of using the secret. No certificate is accepted.
        ca: [],
        checkServerIdentity: () => new Error("it has a certificate in place of the secret"),
      };
    case "certificate": {
      const { certificate, key, ca } = credentials;
      return {
        ...always,
        cert: certificate,
        key,
        ca,
        checkServerIdentity: (_host, { subjectaltname }) => {
          const problem = nameProblem(subjectaltname, { kind: "node", nodeId });
          return problem === undefined ? undefined : new Error(problem);
        },
      };
    }
    default:
      return credentials satisfies never;
  }
}

function secured(options: ConnectionOptions): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const socket = connect(options);
  const timer = setTimeout(
    () => socket.destroy(new Error(`authentication did not end within ${PROOF_TIMEOUT_MS / 1000} s`)),
    PROOF_TIMEOUT_MS,
  );
  socket.once("secureConnect", () => resolve(socket));
  // The transport listens for later errors. This listener handles those before.
  socket.on("error", reject);
  socket.once("close", () => reject(new Error("the connection was closed")));
  return promise.finally(() => clearTimeout(timer));
}
