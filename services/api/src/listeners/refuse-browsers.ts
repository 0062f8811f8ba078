import { ServerInterceptingCall, type ServerInterceptor } from "@grpc/grpc-js";
import { PaddockError } from "@paddock/domain";
import { toServiceError } from "@paddock/rpc";

/** Refuses calls with an `origin` header: browsers cannot speak native gRPC, so such a call is a web page's attempt. */
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
