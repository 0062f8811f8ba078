import { SandboxState } from "@paddock/protocol";
import { targetCommand } from "../target-command.ts";

export const pauseCommand = targetCommand({
  name: "pause",
  description: "freeze sandboxes (their vCPUs) or single containers",
  examples: ["pause web", "pause web/main"],
  verb: { base: "pause", ing: "pausing", done: "paused" },
  all: "all running sandboxes",
  isMeant: (state) => state === SandboxState.RUNNING,
  sandbox: (api, request, call) => api.sandboxes.pauseSandbox(request, call),
  container: (api, request, call) => api.containers.pauseContainer(request, call),
});
