/**
 * What a program needs to talk to a Paddock api: calls that are repeated safely, streams that survive a lost connection,
 * and failures that say what may be done about them. Nothing here depends on Node.js or on a terminal.
 */
export type { CallOptions, Client, Transport } from "@connectrpc/connect";
export * from "./api-client.ts";
export * from "./call-failure.ts";
export * from "./list-all.ts";
export * from "./process/output-cursor.ts";
export * from "./process/process-session.ts";
export type { Opening, ProcessAddress } from "./process/process-stream.ts";
export * from "./process/stdin-window.ts";
export * from "./read-logs.ts";
export * from "./request-id.ts";
export type { StreamOptions } from "./resumed-stream.ts";
export { sleep } from "./retry.ts";
export type { ApiClientOptions } from "./safe-transport.ts";
export * from "./stats-reading.ts";
export * from "./watch-events.ts";
