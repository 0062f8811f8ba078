import { FileService } from "@paddock/protocol";
import { command } from "../command.ts";
import { fileInfo } from "../wire/file-info.ts";
import { guestOf, permitsContainer } from "./call.ts";

export const statFile = command(
  FileService.method.statFile,
  async (ctx, { sandboxId, containerId, path, follow }, call) => {
    const entry = ctx.sandboxes.require(sandboxId);
    permitsContainer(entry, containerId, "files");
    const { files } = await guestOf(entry, call);
    const { file } = await files.statFile({ containerId, path, follow }, { signal: call.signal });
    return { file: fileInfo(file) };
  },
);
