import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import { newRequestId } from "../command-run.ts";

export const nodeCordonCommand: CommandDefinition = (bind) => {
  const command = describedCommand("cordon", "keep new sandboxes away from nodes", [
    "node cordon host-3",
  ]).argument("<node...>");
  return bind(command, async (run, { args }) => {
    for (const nodeId of args) {
      const requestId = newRequestId();
      await run.call({ what: `cordon node "${nodeId}"`, requestId }, (api, options) =>
        api.nodes.cordonNode({ requestId, nodeId }, options),
      );
      run.print(`${nodeId}\n`);
    }
  });
};

export const nodeUncordonCommand: CommandDefinition = (bind) => {
  const command = describedCommand("uncordon", "let new sandboxes come to nodes again", [
    "node uncordon host-3",
  ]).argument("<node...>");
  return bind(command, async (run, { args }) => {
    for (const nodeId of args) {
      const requestId = newRequestId();
      await run.call({ what: `uncordon node "${nodeId}"`, requestId }, (api, options) =>
        api.nodes.uncordonNode({ requestId, nodeId }, options),
      );
      run.print(`${nodeId}\n`);
    }
  });
};
