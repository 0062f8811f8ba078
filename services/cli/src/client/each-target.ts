/** Does the same to each sandbox and container that a command names, in order, and prints each when it is done. */

import type { CallOptions } from "@paddock/client";
import type { SandboxState } from "@paddock/protocol";
import type { Command } from "commander";
import { usageError } from "../cli-error.ts";
import { type CommandRun, newCliRequestId } from "../command-run.ts";
import { eachOperand } from "../each-operand.ts";
import type { Api } from "./open-api.ts";
import { findContainer, findSandbox, listSandboxes, parseReference } from "./targets.ts";

type Act = (api: Api, options: CallOptions) => Promise<unknown>;

export type TargetActs = {
  /** The forms for "cannot VERB", for progress and for what was done. */
  readonly verb: { readonly base: string; readonly ing: string; readonly done: string };
  readonly sandbox: (sandboxId: string, requestId: string) => Act;
  readonly container: (sandboxId: string, containerId: string, requestId: string) => Act;
};

export type AllOption = { readonly all?: boolean };

/** Adds the argument for names and the option for all sandboxes; `all` describes which. */
export function addTargets(command: Command, all: string): Command {
  return command
    .argument("[target...]", "SANDBOX or SANDBOX/CONTAINER")
    .option("-a, --all", `${all}, instead of naming them`);
}

/** The names given, or with --all every sandbox whose state `isMeant`. Throws a usage error for neither and for both. */
export async function targetsOf(
  run: CommandRun,
  { args, all = false }: { readonly args: readonly string[]; readonly all?: boolean | undefined },
  isMeant: (state: SandboxState) => boolean = () => true,
): Promise<readonly string[]> {
  if (all && args.length > 0) throw usageError("--all and names exclude each other", "give one of them");
  if (!all && args.length === 0)
    throw usageError("missing required argument 'target'", "name sandboxes or containers, or write --all");
  if (!all) return args;
  const sandboxes = await listSandboxes(run);
  return sandboxes.filter(({ status }) => status && isMeant(status.state)).map((each) => each.sandboxId);
}

export async function eachTarget(run: CommandRun, texts: readonly string[], acts: TargetActs): Promise<void> {
  for (const text of texts) parseReference(text);
  await eachOperand(run, texts, async (text) => {
    const requestId = newCliRequestId();
    if (parseReference(text).container === undefined) {
      const { sandboxId } = await findSandbox(run, text);
      const name = `sandbox ${sandboxId}`;
      await invoke(run, acts, { name, requestId }, acts.sandbox(sandboxId, requestId));
      return { line: text, json: { sandboxId } };
    }
    const { sandboxId, containerId } = await findContainer(run, text);
    const name = `container ${sandboxId}/${containerId}`;
    await invoke(run, acts, { name, requestId }, acts.container(sandboxId, containerId, requestId));
    return { line: text, json: { sandboxId, containerId } };
  });
}

const invoke = (
  run: CommandRun,
  { verb }: TargetActs,
  { name, requestId }: { name: string; requestId: string },
  act: Act,
): Promise<unknown> =>
  run.progress.phase(
    `${verb.ing} ${name}`,
    () => run.call({ what: `${verb.base} ${name}`, requestId }, act),
    () => `${verb.done} ${name}`,
  );
