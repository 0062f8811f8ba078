import { SandboxState } from "@paddock/protocol";
import { addGrace, type GraceOptions, graceOf } from "../stop-grace.ts";
import { targetCommand } from "../target-command.ts";

export const stopCommand = targetCommand<GraceOptions & { readonly force?: boolean }>(
  {
    name: "stop",
    description: "stop sandboxes with their VMs, or single containers",
    examples: ["stop web", "stop -t 5 web/main", "stop --force web"],
    verb: { base: "stop", ing: "stopping", done: "stopped" },
    all: "all sandboxes that are not stopped",
    isMeant: (state) => state !== SandboxState.STOPPED,
    sandbox: (api, request, call, { force = false, ...options }) =>
      api.sandboxes.stopSandbox({ ...request, force, ...graceOf(options) }, call),
    container: (api, request, call, options) =>
      api.containers.stopContainer({ ...request, ...graceOf(options) }, call),
  },
  (command) => addGrace(command).option("--force", "stop the VM without asking its guest"),
);
