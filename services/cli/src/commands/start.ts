import { SandboxState } from "@paddock/protocol";
import { targetCommand } from "../target-command.ts";

export const startCommand = targetCommand({
  name: "start",
  description: "start sandboxes with their containers, or single containers",
  examples: ["start job", "start job/helper"],
  verb: { base: "start", ing: "starting", done: "started" },
  all: "every sandbox that is ready or stopped",
  isMeant: (state) => state === SandboxState.READY || state === SandboxState.STOPPED,
  sandbox: (api, request, call) => api.sandboxes.startSandbox(request, call),
  container: (api, request, call) => api.containers.startContainer(request, call),
});
