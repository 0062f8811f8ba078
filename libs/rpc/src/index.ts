/** gRPC and Connect, from one set of handlers, with typed errors. */
export * from "./abort-race.ts";
export * from "./call-context.ts";
export type { CallHead, EdgeOptions } from "./call-edge.ts";
export * from "./connect-error.ts";
export * from "./connect-server.ts";
export * from "./deadline.ts";
export * from "./error-codes.ts";
export * from "./grpc-client.ts";
export * from "./grpc-error.ts";
export * from "./grpc-limits.ts";
export * from "./grpc-server.ts";
export * from "./observe-calls.ts";
export * from "./page-token.ts";
export * from "./request-check.ts";
export * from "./request-digest.ts";
export * from "./service-handlers.ts";
export * from "./status.ts";
