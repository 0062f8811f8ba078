import { FileService } from "@paddock/protocol";
import { command } from "../command.ts";
import { guestOf, permitsContainer } from "./call.ts";

/** How long the guest may take to remove a tree, in ms of its VM. The caller's deadline may be shorter. */
const REMOVE_MS = 600_000;

/** Takes no lock: a tree may take minutes, and the guest keeps changes of its files apart. */
export const removeFile = command(
  FileService.method.removeFile,
  async (ctx, { sandboxId, containerId, path, recursive }, call) => {
    const entry = ctx.sandboxes.require(sandboxId);
    permitsContainer(entry, containerId, "files");
    const { files } = await guestOf(entry, call);
    const options = { signal: call.signal, timeoutMs: REMOVE_MS };
    await files.removeFile({ containerId, path, recursive }, options);
    return {};
  },
);
