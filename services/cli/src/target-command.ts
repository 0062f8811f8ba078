/** Commands that do the same to each named sandbox and container, in order, and print each when it is done. */

import type { CallOptions } from "@paddock/client";
import type { SandboxState } from "@paddock/protocol";
import { usageError } from "./cli-error.ts";
import type { Api } from "./client/open-api.ts";
import { findContainer, findSandbox, listSandboxes, parseReference } from "./client/targets.ts";
import { type CommandDefinition, describedCommand } from "./command-definition.ts";
import type { CommandRun } from "./command-run.ts";
import { eachOperand } from "./each-operand.ts";

type SandboxRequest = { readonly requestId: string; readonly sandboxId: string };
type ContainerRequest = SandboxRequest & { readonly containerId: string };
type Act<Request, Options> = (
  api: Api,
  request: Request,
  call: CallOptions,
  options: Options,
) => Promise<unknown>;

export type TargetCommand<Options> = {
  readonly name: string;
  readonly description: string;
  readonly examples: readonly string[];
  /** The forms of the verb: for "cannot VERB", for progress, and for the result. */
  readonly verb: { readonly base: string; readonly ing: string; readonly done: string };
  /** Which sandboxes --all selects, as text, and by their state. */
  readonly all: string;
  readonly isMeant?: (state: SandboxState) => boolean;
  readonly sandbox: Act<SandboxRequest, Options>;
  readonly container: Act<ContainerRequest, Options>;
};

/** Defines such a command. Its own options are added with `addOptions`. */
export const targetCommand =
  <Options extends object>(
    definition: TargetCommand<Options>,
    addOptions: (command: ReturnType<CommandDefinition>) => unknown = () => {},
  ): CommandDefinition =>
  (bind) => {
    const command = describedCommand(definition.name, definition.description, definition.examples)
      .argument("[target...]", "SANDBOX or SANDBOX/CONTAINER")
      .option("-a, --all", `${definition.all}, instead of naming them`);
    addOptions(command);
    return bind(command, async (run, { args }) => {
      const options = command.opts<Options & { readonly all?: boolean }>();
      if (!options.all && args.length === 0)
        throw usageError(
          "missing required argument 'target'",
          "name sandboxes or containers, or write --all",
        );
      const targets = options.all ? await allTargets(run, args, definition.isMeant) : args;
      for (const target of targets) parseReference(target);
      await eachOperand(run, targets, (target) => actOn(run, target, definition, options));
    });
  };

/** Every sandbox whose state `isMeant`. Throws a usage error if names are given, too. */
async function allTargets(
  run: CommandRun,
  args: readonly string[],
  isMeant: (state: SandboxState) => boolean = () => true,
): Promise<readonly string[]> {
  if (args.length > 0) throw usageError("--all and names exclude each other", "give one of them");
  const sandboxes = await listSandboxes(run);
  return sandboxes.filter(({ status }) => status && isMeant(status.state)).map((each) => each.sandboxId);
}

async function actOn<Options>(
  run: CommandRun,
  target: string,
  { verb, sandbox, container }: TargetCommand<Options>,
  options: Options,
) {
  const phase = (name: string) => ({
    what: `${verb.base} ${name}`,
    doing: `${verb.ing} ${name}`,
    done: () => `${verb.done} ${name}`,
  });
  if (parseReference(target).container === undefined) {
    const { sandboxId } = await findSandbox(run, target);
    await run.change(phase(`sandbox ${sandboxId}`), (api, requestId, call) =>
      sandbox(api, { requestId, sandboxId }, call, options),
    );
    return { line: target, json: { sandboxId } };
  }
  const { sandboxId, containerId } = await findContainer(run, target);
  await run.change(phase(`container ${sandboxId}/${containerId}`), (api, requestId, call) =>
    container(api, { requestId, sandboxId, containerId }, call, options),
  );
  return { line: target, json: { sandboxId, containerId } };
}
