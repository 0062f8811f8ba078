import { requireSignal } from "@paddock/domain";
import { ContainerService } from "@paddock/protocol";
import { command } from "../command.ts";
import { guestOf, permitsContainer } from "./call.ts";

/** Takes no lock: a signal must get through while a stop waits for its grace period. */
export const killContainer = command(
  ContainerService.method.killContainer,
  async (ctx, { sandboxId, containerId, signal, all }, call) => {
    const number = requireSignal(signal || "SIGKILL");
    const entry = ctx.sandboxes.require(sandboxId);
    if (!permitsContainer(entry, containerId, "kill")) return {};
    const { containers } = await guestOf(entry, call);
    await containers.killContainer({ containerId, signal: number, all }, { signal: call.signal });
    return {};
  },
);
