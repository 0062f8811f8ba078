/** The api's services over one connection, which is opened by the first call. */
import { type ApiClient, createApiClient, NoAnswerError, type Transport } from "@paddock/client";
import {
  GrpcConnection,
  grpcTransport,
  type HostPort,
  isLoopback,
  parseHostPort,
  tlsConnection,
} from "@paddock/rpc";
import { usageError } from "../cli-error.ts";

/** An api on this host or nearby accepts a connection within moments, or not at all. */
const CONNECT_MS = 10_000;

export type Api = ApiClient & {
  readonly address: string;
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
  const transport = connectedTransport(connection, address);
  return {
    ...createApiClient({ transport, token, requestIdPrefix: "cli" }),
    address,
    close: () => connection.close(),
  };
}

/** Fails a call with `NoAnswerError` if the connection is not ready in time: a server may accept connections and never answer. */
function connectedTransport(connection: GrpcConnection, address: string): Transport {
  const transport = grpcTransport(connection);
  const inTime = (signal: AbortSignal | undefined): AbortSignal => {
    const late = new AbortController();
    connection
      .ready(new Date(Date.now() + CONNECT_MS))
      .catch(() => late.abort(new NoAnswerError(address, CONNECT_MS)));
    return AbortSignal.any([late.signal, ...(signal ? [signal] : [])]);
  };
  return {
    unary: (method, signal, ...rest) => transport.unary(method, inTime(signal), ...rest),
    stream: (method, signal, ...rest) => transport.stream(method, inTime(signal), ...rest),
  };
}

/** Plain text is used only on this host: it would expose the token and everything that tenants type. */
function connect(address: string, tlsCa: Buffer | undefined): GrpcConnection {
  const isPlain = tlsCa === undefined && isLoopback(requireAddress(address).host);
  return isPlain ? new GrpcConnection(address) : tlsConnection(address, tlsCa);
}

/** The host and port of an address. Throws a usage error if it is invalid. */
export function requireAddress(address: string): HostPort {
  const parsed = parseHostPort(address);
  if (parsed !== undefined) return parsed;
  throw usageError(`"${address}" is not an address`, "write host:port, such as 127.0.0.1:7070");
}
