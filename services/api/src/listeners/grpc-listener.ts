/** The gRPC port, served by grpc-js. */

import {
  addReflection,
  bindGrpcServer,
  createGrpcServer,
  drainGrpcServer,
  formatHostPort,
  type Health,
  tokenInterceptor,
} from "@paddock/rpc";
import { ReplaceableServerCredentials } from "./grpc-tls.ts";
import type { Listener, ListenerOptions } from "./listener.ts";
import { refuseBrowsers } from "./refuse-browsers.ts";

export type GrpcListenerOptions = ListenerOptions & { readonly health: Health };

/** Listens on the address. Rejects if that fails. */
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
