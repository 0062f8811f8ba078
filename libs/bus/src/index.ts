/** Commands, the registry and events, over NATS. */
export * from "./bus.ts";
export { logBusEvents } from "./bus-event-log.ts";
export { BUS_SETTINGS, type BusSettings, parseBusSettings } from "./bus-settings.ts";
export { type CommandKind, type CommandLimits, CommandRoom } from "./command-room.ts";
export * from "./event-reader.ts";
export * from "./event-stream.ts";
export * from "./node-registry.ts";
export * from "./placement-registry.ts";
export * from "./request-command.ts";
export * from "./serve-commands.ts";
export { API_INBOX_PREFIX, cancelSubject, commandSubject, nodeInboxPrefix } from "./subjects.ts";
