/** How a service starts and stops, and how changes are made: one at a time, in steps that can be undone, once for each request. */
export * from "./changes.ts";
export * from "./keyed-lock.ts";
export * from "./operator-error.ts";
export * from "./request-ledger.ts";
export * from "./service-process.ts";
export * from "./setting-forms.ts";
export * from "./settings.ts";
export * from "./step-runner.ts";
export * from "./waiting.ts";
