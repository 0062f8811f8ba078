import { create } from "@bufbuild/protobuf";
import {
  LogLevel,
  type SetLogLevelRequest,
  type SetLogLevelResponse,
  SetLogLevelResponseSchema,
  SystemService,
} from "@paddock/protocol";
import { type CallContext, invalidFields } from "@paddock/rpc";
import { type LogLevelName, setLogLevel as setLevel } from "@paddock/telemetry";
import type { ApiContext } from "../api-context.ts";
import { askEveryNode } from "../lists/ask-every-node.ts";

/** Changes what is logged here and on every node that answers. */
export const setLogLevel =
  (api: ApiContext) =>
  async (body: SetLogLevelRequest, ctx: CallContext): Promise<SetLogLevelResponse> => {
    const level = levelName(body.level);
    setLevel(api.log, level);
    api.log.info({ logLevel: level, requestId: ctx.requestId }, "log level changed");
    const every = await askEveryNode(api, ctx, { method: SystemService.method.setLogLevel, body });
    return create(SetLogLevelResponseSchema, {
      nodeIds: every.answers.map(({ nodeId }) => nodeId).sort(),
      unreachableNodes: [...every.unreachable, ...every.refusals.map(({ nodeId }) => nodeId)].sort(),
    });
  };

function levelName(level: LogLevel): LogLevelName {
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
    default:
      throw invalidFields([{ field: "level", description: "no such level" }]);
  }
}
