import { SandboxState } from "@paddock/protocol";
import { addGrace, type GraceOptions, graceOf } from "../stop-grace.ts";
import { targetCommand } from "../target-command.ts";

export const restartCommand = targetCommand<GraceOptions>(
  {
    name: "restart",
    description: "stop sandboxes or single containers and start them again with their files",
    examples: ["restart web", "restart -t 5 web/main"],
    verb: { base: "restart", ing: "restarting", done: "restarted" },
    all: "all sandboxes that are not stopped",
    isMeant: (state) => state !== SandboxState.STOPPED,
    sandbox: async (api, request, call, options) => {
      await api.sandboxes.stopSandbox({ ...stopping(request), ...graceOf(options) }, call);
      await api.sandboxes.startSandbox(request, call);
    },
    container: async (api, request, call, options) => {
      await api.containers.stopContainer({ ...stopping(request), ...graceOf(options) }, call);
      await api.containers.startContainer(request, call);
    },
  },
  addGrace,
);

/** The request with a new request id. */
const stopping = <T extends { readonly requestId: string }>(request: T): T => ({
  ...request,
  requestId: `${request.requestId}.stop`,
});
