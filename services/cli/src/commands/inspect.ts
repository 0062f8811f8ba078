import { toJson } from "@bufbuild/protobuf";
import { ContainerStatusSchema, SandboxSchema } from "@paddock/protocol";
import { findContainer, findSandbox, parseReference } from "../client/targets.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";

export const inspectCommand: CommandDefinition = (bind) => {
  const command = describedCommand("inspect", "show all that is known of sandboxes or containers, as JSON", [
    "inspect web",
    "inspect web/main | jq '.[0].exitStatus'",
  ]).argument("<target...>", "SANDBOX or SANDBOX/CONTAINER");
  return bind(command, async (run, { args }) => {
    const found = [];
    for (const text of args) {
      if (parseReference(text).container !== undefined) {
        found.push(toJson(ContainerStatusSchema, (await findContainer(run, text)).container));
        continue;
      }
      const { sandboxId } = await findSandbox(run, text);
      const { sandbox } = await run.call({ what: `inspect sandbox "${sandboxId}"` }, (api, options) =>
        api.sandboxes.getSandbox({ sandboxId }, options),
      );
      if (sandbox) found.push(toJson(SandboxSchema, sandbox));
    }
    run.print(`${JSON.stringify(found, null, 2)}\n`);
  });
};
