import { SandboxState } from "@paddock/protocol";
import { targetCommand } from "../target-command.ts";

export const resumeCommand = targetCommand(
  {
    name: "resume",
    description: "resume paused sandboxes or containers",
    examples: ["resume web", "resume web/main"],
    verb: { base: "resume", ing: "resuming", done: "resumed" },
    all: "all paused sandboxes",
    isMeant: (state) => state === SandboxState.PAUSED,
    sandbox: (api, request, call) => api.sandboxes.resumeSandbox(request, call),
    container: (api, request, call) => api.containers.resumeContainer(request, call),
  },
  (command) => command.alias("unpause"),
);
