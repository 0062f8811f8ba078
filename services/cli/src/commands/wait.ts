import { toJson } from "@bufbuild/protobuf";
import { ExitStatusSchema } from "@paddock/protocol";
import { findContainer, parseReference } from "../client/targets.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import { eachOperand } from "../each-operand.ts";

export const waitCommand: CommandDefinition = (bind) => {
  const command = describedCommand("wait", "wait for containers to end and print their exit codes", [
    "wait job",
    "wait --timeout 5m job/main",
    "wait -o json job | jq '.[0].status'",
  ]).argument("<target...>", "SANDBOX or SANDBOX/CONTAINER");
  return bind(command, async (run, { args }) => {
    for (const target of args) parseReference(target);
    const waitFor = async (target: string) => {
      const { sandboxId, containerId } = await findContainer(run, target);
      const { status } = await run.call({ what: `wait for "${sandboxId}/${containerId}"` }, (api, options) =>
        api.processes.waitProcess({ sandboxId, containerId, execId: containerId }, options),
      );
      const json = status && toJson(ExitStatusSchema, status, { alwaysEmitImplicit: true });
      return { line: String(status?.code ?? 0), json: { sandboxId, containerId, status: json } };
    };
    await eachOperand(run, args, waitFor, { isOpenEnded: true });
  });
};
