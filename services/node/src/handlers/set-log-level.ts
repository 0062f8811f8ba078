import { PaddockError } from "@paddock/domain";
import { LogLevel, SystemService } from "@paddock/protocol";
import { command } from "../command.ts";

const NAMES: Readonly<Record<Exclude<LogLevel, LogLevel.UNSPECIFIED>, string>> = {
  [LogLevel.TRACE]: "trace",
  [LogLevel.DEBUG]: "debug",
  [LogLevel.INFO]: "info",
  [LogLevel.WARN]: "warn",
  [LogLevel.ERROR]: "error",
};

export const setLogLevel = command(SystemService.method.setLogLevel, ({ log, nodeId }, { level }) => {
  if (level === LogLevel.UNSPECIFIED) throw new PaddockError("INVALID_FIELD", "level must be set");
  log.level = NAMES[level];
  return { nodeIds: [nodeId] };
});
