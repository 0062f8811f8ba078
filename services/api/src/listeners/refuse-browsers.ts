import { PaddockError } from "@paddock/domain";
import { metadataInterceptor } from "@paddock/rpc";

/** Refuses calls with an `origin` header: browsers cannot speak native gRPC, so such a call comes from a web page. */
export const refuseBrowsers = metadataInterceptor((metadata) => {
  if (metadata.get("origin").length > 0)
    throw new PaddockError("ORIGIN_NOT_ALLOWED", "web pages may not call the gRPC port", {
      hint: "use the HTTP port, with the page's origin in PADDOCK_API_CORS_ORIGINS",
    });
});
