import { parseSignal, signalName } from "@paddock/domain";
import { usageError } from "../cli-error.ts";
import { findContainer, parseReference } from "../client/targets.ts";
import { type CommandDefinition, describedCommand } from "../command-definition.ts";
import { eachOperand } from "../each-operand.ts";

type KillOptions = { readonly signal: string; readonly all?: boolean };

export const killCommand: CommandDefinition = (bind) => {
  const command = describedCommand("kill", "send a signal to a container", [
    "kill web",
    "kill -s HUP web/main",
    "kill --all -s TERM web",
  ])
    .argument("<target...>", "SANDBOX or SANDBOX/CONTAINER")
    .option("-s, --signal <signal>", "name or number", "KILL")
    .option("--all", "send it to all its processes, not only its first");
  return bind(command, async (run, { args }) => {
    const { signal: text, all = false } = command.opts<KillOptions>();
    const number = parseSignal(text);
    if (number === undefined)
      throw usageError(`"${text}" is not a signal`, 'write such as "TERM", "SIGHUP" or "9"');
    const signal = /^\d+$/.test(text) ? signalName(number) : text.toUpperCase();
    for (const target of args) parseReference(target);
    await eachOperand(run, args, async (target) => {
      const { sandboxId, containerId } = await findContainer(run, target);
      await run.change({ what: `send ${signal} to "${sandboxId}/${containerId}"` }, (api, requestId, call) =>
        api.containers.killContainer({ requestId, sandboxId, containerId, signal: text, all }, call),
      );
      return { line: target, json: { sandboxId, containerId } };
    });
  });
};
