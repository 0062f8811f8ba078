/** The same act on each of the sandboxes and containers a command names, in order; each is printed when it is done. */
import type { CallOptions } from "@paddock/rpc";
import { type CommandRun, newRequestId } from "../command-run.ts";
import type { Api } from "./api.ts";
import { findContainer, findSandbox, parseReference } from "./targets.ts";

type Act = (api: Api, options: CallOptions) => Promise<unknown>;

export type TargetActs = {
  /** Completes "cannot …", and tells what is being and what was done. */
  readonly verb: { readonly base: string; readonly ing: string; readonly done: string };
  readonly sandbox: (sandboxId: string, requestId: string) => Act;
  readonly container: (sandboxId: string, containerId: string, requestId: string) => Act;
};

export async function eachTarget(run: CommandRun, texts: readonly string[], acts: TargetActs): Promise<void> {
  const references = texts.map((text) => ({ text, reference: parseReference(text) }));
  for (const { text, reference } of references) {
    const requestId = newRequestId();
    if (reference.container === undefined) {
      const { sandboxId } = await findSandbox(run, text);
      await invoke(
        run,
        acts,
        { name: `sandbox ${sandboxId}`, requestId },
        acts.sandbox(sandboxId, requestId),
      );
    } else {
      const { sandboxId, containerId } = await findContainer(run, text);
      const name = `container ${sandboxId}/${containerId}`;
      await invoke(run, acts, { name, requestId }, acts.container(sandboxId, containerId, requestId));
    }
    run.print(`${text}\n`);
  }
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
