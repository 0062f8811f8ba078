import { SandboxState } from "@paddock/protocol";
import { type AllOption, addTargets, eachTarget, targetsOf } from "../client/each-target.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import { addGrace, type GraceOptions, graceOf } from "../stop-grace.ts";

export const restartCommand: CommandDefinition = (bind) => {
  const described = describedCommand(
    "restart",
    "stop sandboxes or single containers and start them again with their files",
    ["restart web", "restart -t 5 web/main"],
  );
  const command = addGrace(addTargets(described, "all sandboxes that are not stopped"));
  return bind(command, async (run, { args }) => {
    const { all, ...options } = command.opts<AllOption & GraceOptions>();
    const targets = await targetsOf(run, { args, all }, (state) => state !== SandboxState.STOPPED);
    const grace = graceOf(options);
    await eachTarget(run, targets, {
      verb: { base: "restart", ing: "restarting", done: "restarted" },
      sandbox: (sandboxId, requestId) => async (api, call) => {
        await api.sandboxes.stopSandbox({ requestId: `${requestId}.stop`, sandboxId, ...grace }, call);
        await api.sandboxes.startSandbox({ requestId, sandboxId }, call);
      },
      container: (sandboxId, containerId, requestId) => async (api, call) => {
        const stop = { requestId: `${requestId}.stop`, sandboxId, containerId, ...grace };
        await api.containers.stopContainer(stop, call);
        await api.containers.startContainer({ requestId, sandboxId, containerId }, call);
      },
    });
  });
};
