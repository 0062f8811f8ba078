import { FileService } from "@paddock/protocol";
import { command } from "../command.ts";
import { guestOf, permitsContainer } from "./call.ts";

export const makeDirectory = command(
  FileService.method.makeDirectory,
  async (ctx, { sandboxId, containerId, path, mode, parents }, call) => {
    const entry = ctx.sandboxes.require(sandboxId);
    permitsContainer(entry, containerId, "files");
    const { files } = await guestOf(entry, call);
    await files.makeDirectory({ containerId, path, mode, parents }, { signal: call.signal });
    return {};
  },
);
