/** The gRPC port, served by grpc-js. */

import { Server, ServerCredentials } from "@grpc/grpc-js";
import {
  addGrpcMethods,
  addReflection,
  type BoundMethod,
  type EdgeOptions,
  formatHostPort,
  type Health,
  type HostPort,
  SERVER_OPTIONS,
  type TokenCheck,
  tokenInterceptor,
} from "@paddock/rpc";
import type { Replaceable, Tls } from "../credentials.ts";
import { SERVICES } from "../routes.ts";
import { ReplaceableServerCredentials } from "./grpc-tls.ts";
import type { Listener } from "./listener.ts";
import { refuseBrowsers } from "./refuse-browsers.ts";

export type GrpcListenerOptions = {
  readonly address: HostPort;
  readonly tls: Replaceable<Tls> | undefined;
  readonly checkToken: TokenCheck | undefined;
  readonly methods: readonly BoundMethod[];
  readonly edge: EdgeOptions;
  readonly health: Health;
};

/** Listens on the address. Rejects when that fails. */
export async function listenGrpc(options: GrpcListenerOptions): Promise<Listener> {
  const { address, tls, checkToken, methods, edge, health } = options;
  const server = new Server({
    ...SERVER_OPTIONS,
    interceptors: [
      refuseBrowsers,
      ...(checkToken === undefined ? [] : [tokenInterceptor(checkToken)]),
      ...SERVER_OPTIONS.interceptors,
    ],
  });
  addGrpcMethods(server, methods, edge);
  addReflection(server, SERVICES);
  health.addTo(server);
  const secure = tls && new ReplaceableServerCredentials(tls);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync(formatHostPort(address), secure ?? ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  return {
    address: formatHostPort({ ...address, port }),
    drain: () => new Promise((resolve) => server.tryShutdown(() => resolve())),
    destroy: () => {
      secure?.release();
      server.forceShutdown();
    },
  };
}
