/** What Paddock is about, without any input or output. */
export * from "./errors.ts";
export * from "./ids.ts";
export * from "./signals.ts";
