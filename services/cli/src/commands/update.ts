import { ResourceEffect, UpdateContainerResponseSchema } from "@paddock/protocol";
import { usageError } from "../cli-error.ts";
import { findContainer } from "../client/targets.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import { addLimitOptions, type LimitOptions, parseLimits, withSwap } from "../limit-options.ts";
import { columns } from "../output/columns.ts";
import { toJsonText } from "../output/json.ts";
import { outcomeRows } from "../output/outcome-rows.ts";

const HEADING = ["RESOURCE", "REQUESTED", "IN FORCE", "EFFECT", "REASON"];

export const updateCommand: CommandDefinition = (bind) => {
  const command = describedCommand(
    "update",
    "change limits of a running container, and the size of its VM with them; other limits stay",
    [
      "update --cpus 2 --memory 512m web",
      "update web/main --io-write-bps 10m --io-write-iops none",
      "update web --pids-limit 100 --hugepages 2MiB=64m -o json",
    ],
  ).argument("<target>", "SANDBOX or SANDBOX/CONTAINER");
  return bind(addLimitOptions(command), async (run, { args: [target = ""] }) => {
    const options = command.opts<LimitOptions>();
    const limits = parseLimits(options);
    if (Object.keys(limits).length === 0 && options.memorySwap === undefined)
      throw usageError("there is nothing to change", "give limits such as --cpus 2 or --memory 512m");
    const { sandboxId, containerId, container } = await findContainer(run, target);
    const resources = withSwap(limits, options.memorySwap, container.resources?.memoryBytes);
    const name = `${sandboxId}/${containerId}`;
    const response = await run.change(
      {
        what: `update container "${name}"`,
        doing: `updating container ${name}`,
        done: () => `updated container ${name}`,
      },
      (api, requestId, call) =>
        api.containers.updateContainer({ requestId, sandboxId, containerId, resources }, call),
    );
    if (run.isJson) run.print(toJsonText(UpdateContainerResponseSchema, response));
    else if (run.settings.quiet) run.print(`${target}\n`);
    else run.print(columns([HEADING, ...outcomeRows(response)]));
    if (response.outcomes.some(({ effect }) => effect === ResourceEffect.NEXT_START)) {
      run.warn(
        `limits that are not in force yet apply after "paddock stop ${sandboxId}" and "paddock start ${sandboxId}"`,
      );
    }
  });
};
