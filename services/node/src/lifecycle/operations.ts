/**
 * The operations of a sandbox that take several steps.
 *
 * | operation          | noted as           | after a crash                          |
 * | ------------------ | ------------------ | -------------------------------------- |
 * | create             | phase `creating`   | the sandbox is deleted                 |
 * | boot               | phase `stopped`    | what a stopped VM does not keep is released |
 * | stop               | operation          | finished, by recovery                  |
 * | add-container      | operation          | undone                                 |
 * | update-container   | operation          | undone                                 |
 */
import type { NodeContext } from "../node-context.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { containerCreation } from "./create-container.ts";
import { containerUpdate } from "./update-container.ts";

const NOTED = {
  "add-container": containerCreation,
  "update-container": containerUpdate,
} as const;

/** Undoes what the record notes. A stop that is noted beside a phase without a machine is over. Needs the lock, or a sandbox that nobody else works on. */
export async function undoNoted(node: NodeContext, entry: SandboxEntry): Promise<void> {
  for (const note of entry.record.operations)
    if (note.kind !== "stop") await NOTED[note.kind].undo({ node, entry }, note);
}
