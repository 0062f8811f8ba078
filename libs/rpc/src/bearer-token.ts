/**
 * One bearer token for all clients: `authorization: Bearer <token>`. It is checked before a request is read, on every path
 * except health.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { ServerInterceptingCall, type ServerInterceptor } from "@grpc/grpc-js";
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

/** The check as an interceptor for a grpc-js server. */
export function tokenInterceptor(check: TokenCheck): ServerInterceptor {
  return (method, call) =>
    new ServerInterceptingCall(call, {
      start: (next) => {
        next({
          onReceiveMetadata: (metadata, pass) => {
            try {
              if (!isHealthPath(method.path)) check(metadata.get("authorization")[0]?.toString());
            } catch (error) {
              call.sendStatus(toServiceError(error));
              return;
            }
            metadata.remove("authorization");
            pass(metadata);
          },
        });
      },
    });
}

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
