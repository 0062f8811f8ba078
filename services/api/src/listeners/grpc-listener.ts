/** The gRPC port, served by grpc-js. */

import {
  addReflection,
  type BoundMethod,
  bindGrpcServer,
  createGrpcServer,
  drainGrpcServer,
  type EdgeOptions,
  formatHostPort,
  type Health,
  type HostPort,
  type TokenCheck,
  tokenInterceptor,
} from "@paddock/rpc";
import type { Replaceable, Tls } from "../credentials.ts";
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
  const tokens = checkToken === undefined ? [] : [tokenInterceptor(checkToken)];
  const server = createGrpcServer(methods, edge, [refuseBrowsers, ...tokens]);
  addReflection(server, [...new Set(methods.map(({ method }) => method.parent))]);
  health.addTo(server);
  const secure = tls && new ReplaceableServerCredentials(tls);
  const port = await bindGrpcServer(server, address, secure);
  return {
    address: formatHostPort({ ...address, port }),
    drain: () => drainGrpcServer(server),
    destroy: () => {
      secure?.release();
      server.forceShutdown();
    },
  };
}
