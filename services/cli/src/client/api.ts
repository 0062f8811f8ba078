/** The api's services over one connection, which is made when the first call is. */
import { isIP } from "node:net";
import {
  ContainerService,
  EventService,
  ImageService,
  NodeService,
  ProcessService,
  REQUEST_ID_KEY,
  SandboxService,
  SystemService,
} from "@paddock/protocol";
import { type CallOptions, GrpcConnection, type GrpcMethods, tlsConnection } from "@paddock/rpc";
import { usageError } from "../cli-error.ts";
import { NoAnswerError } from "./call-failure.ts";

/** A connection on this host or near it is there in a moment, or not at all. */
const CONNECT_MS = 10_000;

export type Api = {
  readonly address: string;
  readonly sandboxes: GrpcMethods<typeof SandboxService>;
  readonly containers: GrpcMethods<typeof ContainerService>;
  readonly processes: GrpcMethods<typeof ProcessService>;
  readonly events: GrpcMethods<typeof EventService>;
  readonly images: GrpcMethods<typeof ImageService>;
  readonly nodes: GrpcMethods<typeof NodeService>;
  readonly system: GrpcMethods<typeof SystemService>;
  /** Options of a call, with the token and the id that ties our message to the api's log. */
  callOptions(
    requestId: string | undefined,
    options: { timeoutMs?: number | undefined; signal?: AbortSignal },
  ): CallOptions;
  close(): void;
};

export type ApiOptions = {
  /** "host:port". */
  readonly address: string;
  readonly token?: string | undefined;
  /** PEM certificate of the authority that signed the api's. */
  readonly tlsCa?: Buffer | undefined;
};

export function openApi({ address, token, tlsCa }: ApiOptions): Api {
  const connection = connect(address, tlsCa);
  return {
    address,
    sandboxes: connection.service(SandboxService),
    containers: connection.service(ContainerService),
    processes: connection.service(ProcessService),
    events: connection.service(EventService),
    images: connection.service(ImageService),
    nodes: connection.service(NodeService),
    system: connection.service(SystemService),
    callOptions: (requestId, { timeoutMs, signal }) => ({
      ...(timeoutMs === undefined ? {} : { deadline: new Date(Date.now() + timeoutMs) }),
      signal: AbortSignal.any([...(signal ? [signal] : []), unlessConnected(connection, address)]),
      metadata: {
        [REQUEST_ID_KEY]: requestId,
        authorization: token === undefined ? undefined : `Bearer ${token}`,
      },
    }),
    close: () => connection.close(),
  };
}

/** Fires when there is no connection after a while: a server that takes one and says nothing holds up a call for ever. */
function unlessConnected(connection: GrpcConnection, address: string): AbortSignal {
  const controller = new AbortController();
  connection
    .ready(new Date(Date.now() + CONNECT_MS))
    .catch(() => controller.abort(new NoAnswerError(address, CONNECT_MS)));
  return controller.signal;
}

/** Plain text never leaves this host: the token and all that tenants type would travel with it. */
function connect(address: string, tlsCa: Buffer | undefined): GrpcConnection {
  const isPlain = tlsCa === undefined && isLoopback(hostOf(address));
  return isPlain ? new GrpcConnection(address) : tlsConnection(address, tlsCa);
}

export function hostOf(address: string): string {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:]+)):(\d{1,5})$/.exec(address);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined || Number(match?.[3]) > 65_535) {
    throw usageError(`"${address}" is not an address`, "write host:port, such as 127.0.0.1:7070");
  }
  return host;
}

export const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
