import { create } from "@bufbuild/protobuf";
import {
  LogLevel,
  type SetLogLevelRequest,
  type SetLogLevelResponse,
  SetLogLevelResponseSchema,
  SystemService,
} from "@paddock/protocol";
import { type CallContext, invalidFields } from "@paddock/rpc";
import { LOG_LEVELS, setLogLevel as setLevel } from "@paddock/telemetry";
import type { ApiContext } from "../api-context.ts";
import { askEveryNode } from "../lists/ask-every-node.ts";

/** Changes the log level here and on every node that answers. */
export const setLogLevel =
  (api: ApiContext) =>
  async (body: SetLogLevelRequest, ctx: CallContext): Promise<SetLogLevelResponse> => {
    const level = LOG_LEVELS.find((name) => name.toUpperCase() === LogLevel[body.level]);
    if (level === undefined) throw invalidFields([{ field: "level", description: "no such level" }]);
    setLevel(api.log, level);
    api.log.info({ logLevel: level, requestId: ctx.requestId }, "log level changed");
    const every = await askEveryNode(api, ctx, { method: SystemService.method.setLogLevel, body });
    return create(SetLogLevelResponseSchema, {
      nodeIds: every.answers.map(({ nodeId }) => nodeId).sort(),
      unreachableNodes: [...every.unreachable, ...every.refusals.map(({ nodeId }) => nodeId)].sort(),
    });
  };
