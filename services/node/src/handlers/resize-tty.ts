import { PaddockError } from "@paddock/domain";
import { ProcessService } from "@paddock/protocol";
import { command } from "../command.ts";
import { guestOf, permitsContainer } from "./call.ts";

export const resizeTty = command(
  ProcessService.method.resizeTty,
  async (ctx, { sandboxId, containerId, execId, size }, call) => {
    if (size === undefined) throw new PaddockError("INVALID_FIELD", "size must be set");
    const entry = ctx.sandboxes.require(sandboxId);
    if (!permitsContainer(entry, containerId, "resize_tty")) return {};
    const { processes } = await guestOf(entry, call);
    const { rows, columns } = size;
    await processes.resizeTty({ containerId, execId, size: { rows, columns } }, { signal: call.signal });
    return {};
  },
);
