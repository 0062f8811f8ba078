/**
 * The client of a Paddock api: calls that are retried safely, streams that survive a lost connection, and errors that show how to
 * react to them. Nothing here depends on Node.js or on a terminal.
 */
export type { CallOptions, Client, Transport } from "@connectrpc/connect";
export * from "./api-client.ts";
export * from "./call-failure.ts";
export * from "./files/download.ts";
export type { TransferNotice } from "./files/resumption.ts";
export type { FileAddress, Sha256 } from "./files/transfer.ts";
export * from "./files/upload.ts";
export * from "./forward-connection.ts";
export * from "./list-all.ts";
export * from "./process/output-cursor.ts";
export * from "./process/process-session.ts";
export type { Opening, ProcessAddress } from "./process/process-stream.ts";
export * from "./process/start-process.ts";
export * from "./process/stdin-window.ts";
export * from "./read-logs.ts";
export * from "./request-id.ts";
export type { StreamOptions } from "./resumed-stream.ts";
export { sleep } from "./retry.ts";
export type { ApiClientOptions } from "./safe-transport.ts";
export * from "./stats-reading.ts";
export * from "./watch-events.ts";
