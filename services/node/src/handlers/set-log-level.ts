import { PaddockError } from "@paddock/domain";
import { LogLevel, type SetLogLevelRequest, type SetLogLevelResponse } from "@paddock/protocol";
import type { NodeContext } from "../node-context.ts";
import type { Answer } from "./answer.ts";

export function setLogLevel(
  { log, nodeId }: NodeContext,
  { level }: SetLogLevelRequest,
): Answer<SetLogLevelResponse> {
  log.level = nameOf(level);
  return { nodeIds: [nodeId], unreachableNodes: [] };
}

function nameOf(level: LogLevel): string {
  switch (level) {
    case LogLevel.TRACE:
      return "trace";
    case LogLevel.DEBUG:
      return "debug";
    case LogLevel.INFO:
      return "info";
    case LogLevel.WARN:
      return "warn";
    case LogLevel.ERROR:
      return "error";
    case LogLevel.UNSPECIFIED:
      throw new PaddockError("INVALID_FIELD", "level must be set");
    default:
      return level satisfies never;
  }
}
