/** Fakes for tests of programs that use the client. */
export * from "./fake-api.ts";
export * from "./fake-in-process-api.ts";
export * from "./fake-process.ts";
export * from "./fake-server.ts";
export * from "./fake-transfers.ts";
