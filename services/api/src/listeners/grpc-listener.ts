/** Native gRPC, by grpc-js. */

import { Server, ServerCredentials } from "@grpc/grpc-js";
import {
  addGrpcMethods,
  addReflection,
  type BoundMethod,
  type EdgeOptions,
  type Health,
  SERVER_OPTIONS,
  type TokenCheck,
  tokenInterceptor,
} from "@paddock/rpc";
import type { Address, Tls } from "../config.ts";
import { SERVICES } from "../routes.ts";
import type { Listener } from "./listener.ts";

export type GrpcListenerOptions = {
  readonly address: Address;
  readonly tls: Tls | undefined;
  readonly checkToken: TokenCheck | undefined;
  readonly methods: readonly BoundMethod[];
  readonly edge: EdgeOptions;
  readonly health: Health;
};

/** Listens. Rejects when the address cannot be had. */
export async function listenGrpc(options: GrpcListenerOptions): Promise<Listener> {
  const { address, tls, checkToken, methods, edge, health } = options;
  const server = new Server({
    ...SERVER_OPTIONS,
    ...(checkToken === undefined
      ? {}
      : { interceptors: [tokenInterceptor(checkToken), ...SERVER_OPTIONS.interceptors] }),
  });
  addGrpcMethods(server, methods, edge);
  addReflection(server, SERVICES);
  health.addTo(server);
  const credentials = tls
    ? ServerCredentials.createSsl(null, [{ cert_chain: tls.certificate, private_key: tls.key }])
    : ServerCredentials.createInsecure();
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`${host}:${address.port}`, credentials, (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  return {
    address: `${host}:${port}`,
    drain: () => new Promise((resolve) => server.tryShutdown(() => resolve())),
    destroy: () => server.forceShutdown(),
  };
}
