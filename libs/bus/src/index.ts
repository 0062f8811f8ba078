/** Commands and the registry, over NATS. */
export * from "./bus.ts";
export * from "./node-registry.ts";
export * from "./placement-registry.ts";
export * from "./request-command.ts";
export * from "./serve-commands.ts";
export { cancelSubject, commandSubject } from "./subjects.ts";
