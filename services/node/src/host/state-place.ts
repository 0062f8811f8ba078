/** Checks at start-up whether VMs can work with the state directory, before the first VM fails. */
import { stat } from "node:fs/promises";
import { OperatorError } from "@paddock/lifecycle";
import { firstUnreachable, type Privileges } from "@paddock/qemu";
import { newVmId, vmPaths, vmsDir } from "../vm/vm-paths.ts";
import type { GuestFiles } from "./guest-files.ts";

/** The host does not meet a need of the daemon. The message says how to correct it. */
export class UnfitHost extends OperatorError {
  override readonly name = "UnfitHost";
}

/** sun_path is 108 bytes with its terminator (Linux, unix(7)). */
const MAX_SOCKET_PATH_BYTES = 107;

/** Throws UnfitHost when the socket paths of its VMs would be longer than the kernel accepts. */
export function requireShortPath(stateDir: string): void {
  const { agentSocket, qmpSocket, serialSocket } = vmPaths(stateDir, newVmId());
  const longest = Math.max(...[agentSocket, qmpSocket, serialSocket].map((path) => Buffer.byteLength(path)));
  const over = longest - MAX_SOCKET_PATH_BYTES;
  if (over <= 0) return;
  const bytes = Buffer.byteLength(stateDir);
  throw new UnfitHost(
    `the state directory ${stateDir} has a path of ${bytes} bytes, of which sockets leave room for ${bytes - over}; ` +
      "choose a shorter PADDOCK_STATE_DIR",
  );
}

/** Throws UnfitHost unless QEMU's user can read the guest and enter the directories of VMs. */
export async function requireReachable(
  stateDir: string,
  guest: Pick<GuestFiles, "kernel" | "initramfs">,
  privileges: Privileges,
): Promise<void> {
  for (const path of [guest.kernel, guest.initramfs, `${vmsDir(stateDir)}/`]) {
    const found = await firstUnreachable(path, privileges);
    if (found === undefined) continue;
    const { uid } = privileges.user ?? {};
    throw new UnfitHost(`QEMU's user (uid ${uid}) cannot ${await whatOf(found)}`);
  }
}

async function whatOf(path: string): Promise<string> {
  if (!(await stat(path)).isDirectory())
    return `read ${path}; chmod a+r it, or remove it so that it is copied again`;
  return `enter ${path}, in which the node's state is; chmod o+x it, or choose another PADDOCK_STATE_DIR`;
}
