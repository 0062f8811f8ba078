/** Commands, the registry and events, over NATS. */
export * from "./bus.ts";
export * from "./event-reader.ts";
export * from "./event-stream.ts";
export * from "./node-registry.ts";
export * from "./placement-registry.ts";
export * from "./request-command.ts";
export * from "./serve-commands.ts";
export { cancelSubject, commandSubject } from "./subjects.ts";
