/**
 * One bearer token for all clients: `authorization: Bearer <token>`. It is checked before a request is read, on every path except
 * health.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { type Metadata, ServerInterceptingCall, type ServerInterceptor } from "@grpc/grpc-js";
import { PaddockError } from "@paddock/domain";
import { toServiceError } from "./grpc-error.ts";
import { isHealthPath } from "./introspection.ts";

/** Throws `PaddockError` BAD_TOKEN unless the value of an `authorization` header has the token. */
export type TokenCheck = (authorization: string | undefined) => void;

/** A check for `token`. It compares digests, so its duration reveals neither the token nor its length. */
export function tokenCheck(token: string): TokenCheck {
  const wanted = digest(token);
  return (authorization) => {
    const given = /^Bearer +(\S+)$/i.exec(authorization ?? "")?.[1];
    if (given !== undefined && timingSafeEqual(digest(given), wanted)) return;
    throw new PaddockError(
      "BAD_TOKEN",
      given === undefined ? "the call has no token" : "the token is not valid",
      {
        hint: "send the metadata `authorization: Bearer <token>`",
      },
    );
  };
}

/** The check as an interceptor for a grpc-js server. Handlers do not see the token. */
export const tokenInterceptor = (check: TokenCheck): ServerInterceptor =>
  metadataInterceptor((metadata, path) => {
    if (!isHealthPath(path)) check(metadata.get("authorization")[0]?.toString());
    metadata.remove("authorization");
  });

/** An interceptor for a grpc-js server that refuses the calls for whose metadata `check` throws. */
export const metadataInterceptor =
  (check: (metadata: Metadata, path: string) => void): ServerInterceptor =>
  (method, call) =>
    new ServerInterceptingCall(call, {
      start: (next) => {
        next({
          onReceiveMetadata: (metadata, pass) => {
            try {
              check(metadata, method.path);
            } catch (error) {
              call.sendStatus(toServiceError(error));
              return;
            }
            pass(metadata);
          },
        });
      },
    });

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
