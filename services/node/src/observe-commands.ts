/** A span and a log line for every command, around its handler. */
import type { CommandHandler } from "@paddock/bus";
import { PaddockError } from "@paddock/domain";
import { beginSpan } from "@paddock/telemetry";
import type { NodeLog } from "./node-log.ts";
import { COMMANDS } from "./routes.ts";

/** Commands that change something are logged at level info, other commands and refusals at debug, internal errors at error. */
export function observeCommands(handle: CommandHandler, log: NodeLog): CommandHandler {
  return async (command, ctx) => {
    const { method, sandboxId, requestId } = command;
    const known = COMMANDS.get(method);
    const name = known?.method.localName ?? (method.slice(0, 128) || "nothing");
    const span = beginSpan(`node ${name}`, "server", ctx.trace, {
      "paddock.request_id": requestId,
      ...(sandboxId !== "" && { "paddock.sandbox_id": sandboxId }),
    });
    const begun = performance.now();
    const fields = () => ({
      command: name,
      ...(sandboxId !== "" && { sandbox: sandboxId }),
      requestId,
      durationMs: Math.round(performance.now() - begun),
      ...(span.headers.traceparent !== undefined && { traceId: span.headers.traceparent.slice(3, 35) }),
    });
    try {
      const response = await handle(command, { ...ctx, trace: span.headers });
      log[known?.kind === "reads" ? "debug" : "info"](fields(), "done");
      span.end();
      return response;
    } catch (error) {
      const refused = error instanceof PaddockError;
      span.end(refused ? error.reason : "INTERNAL");
      if (refused) log.info({ ...fields(), reason: error.reason, error: error.message }, "refused");
      else log.error({ ...fields(), err: error }, "failed: internal error");
      throw error;
    }
  };
}
