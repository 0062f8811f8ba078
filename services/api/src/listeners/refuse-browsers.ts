import { ServerInterceptingCall, type ServerInterceptor } from "@grpc/grpc-js";
import { PaddockError } from "@paddock/domain";
import { toServiceError } from "@paddock/rpc";

/** Web pages cannot speak gRPC by themselves; a call that comes from one all the same has `origin`, and is no client of this port. */
export const refuseBrowsers: ServerInterceptor = (_method, call) =>
  new ServerInterceptingCall(call, {
    start: (next) => {
      next({
        onReceiveMetadata: (metadata, pass) => {
          if (metadata.get("origin").length === 0) pass(metadata);
          else call.sendStatus(toServiceError(notHere()));
        },
      });
    },
  });

const notHere = (): PaddockError =>
  new PaddockError("ORIGIN_NOT_ALLOWED", "web pages may not call the gRPC port", {
    hint: "use the HTTP port, with the page's origin in PADDOCK_API_CORS_ORIGINS",
  });
