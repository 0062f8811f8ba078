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
 * | add-device         | operation          | undone                                 |
 * | remove-device      | operation          | finished, by recovery                  |
 */
import type { NodeContext } from "../node-context.ts";
import type { SandboxEntry } from "../sandboxes/sandbox-entry.ts";
import { deviceAddition } from "./add-device.ts";
import { interfaceAddition } from "./add-interface.ts";
import { containerCreation } from "./create-container.ts";
import type { Work } from "./operation.ts";
import { type DeviceRemoval, finishDeviceRemoval } from "./remove-device.ts";
import { finishRemoval, type Removal } from "./remove-interface.ts";
import { containerUpdate } from "./update-container.ts";
import { routesUpdate } from "./update-routes.ts";

const UNDONE = {
  "add-container": containerCreation,
  "update-container": containerUpdate,
  "add-interface": interfaceAddition,
  "update-routes": routesUpdate,
  "add-device": deviceAddition,
} as const;

/**
 * Undoes or finishes the operations noted in the record. A noted stop beside a phase without a machine is complete. Needs the
 * lock, or exclusive use of the sandbox.
 */
export async function undoNoted(node: NodeContext, entry: SandboxEntry): Promise<void> {
  for (const note of entry.record.operations)
    if (note.kind === "remove-interface" || note.kind === "remove-device")
      await finishOne({ node, entry }, note);
    else if (note.kind !== "stop") await UNDONE[note.kind].undo({ node, entry }, note);
}

/** Logs a failure. The next call or the next start tries again. */
async function finishOne(work: Work, note: Removal | DeviceRemoval): Promise<void> {
  try {
    if (note.kind === "remove-device") await finishDeviceRemoval(work, note);
    else await finishRemoval(work, note);
  } catch (error) {
    work.entry.log.error(
      { operation: note.kind, err: error },
      "finishing a removal failed; the next start tries again",
    );
  }
}
