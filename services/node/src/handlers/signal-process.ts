import { requireSignal } from "@paddock/domain";
import { ProcessService } from "@paddock/protocol";
import { command } from "../command.ts";
import { guestOf, permitsContainer } from "./call.ts";

export const signalProcess = command(
  ProcessService.method.signalProcess,
  async (ctx, { sandboxId, containerId, execId, signal }, call) => {
    const number = requireSignal(signal);
    const entry = ctx.sandboxes.require(sandboxId);
    if (!permitsContainer(entry, containerId, "signal_process")) return {};
    const { processes } = await guestOf(entry, call);
    await processes.signalProcess({ containerId, execId, signal: number }, { signal: call.signal });
    return {};
  },
);
