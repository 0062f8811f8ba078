/**
 * The operations of a sandbox that take several steps.
 *
 * | operation          | noted as           | after a crash                          |
 * | ------------------ | ------------------ | -------------------------------------- |
 * | create             | phase `creating`   | the sandbox is deleted                 |
 * | boot               | phase `stopped`    | resources of the boot are released     |
 * | stop               | operation          | finished, by recovery                  |
 * | add-container      | operation          | undone                                 |
 * | update-container   | operation          | undone                                 |
 * | add-interface      | operation          | undone                                 |
 * | remove-interface   | operation          | finished, by recovery                  |
 * | update-routes      | operation          | undone                                 |
 */
import type { NodeContext } from "../node-context.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { interfaceAddition } from "./add-interface.ts";
import { containerCreation } from "./create-container.ts";
import type { Work } from "./operation.ts";
import { finishRemoval, type Removal } from "./remove-interface.ts";
import { containerUpdate } from "./update-container.ts";
import { routesUpdate } from "./update-routes.ts";

const UNDONE = {
  "add-container": containerCreation,
  "update-container": containerUpdate,
  "add-interface": interfaceAddition,
  "update-routes": routesUpdate,
} as const;

/**
 * Undoes or finishes the operations noted in the record. A noted stop beside a phase without a machine is complete. Needs the
 * lock, or exclusive use of the sandbox.
 */
export async function undoNoted(node: NodeContext, entry: SandboxEntry): Promise<void> {
  for (const note of entry.record.operations)
    if (note.kind === "remove-interface") await finishOne({ node, entry }, note);
    else if (note.kind !== "stop") await UNDONE[note.kind].undo({ node, entry }, note);
}

/** Logs a failure. The next call or the next start tries again. */
async function finishOne(work: Work, note: Removal): Promise<void> {
  try {
    await finishRemoval(work, note);
  } catch (error) {
    work.entry.log.error(
      { operation: note.kind, err: error },
      "finishing the removal of an interface failed; the next start tries again",
    );
  }
}
