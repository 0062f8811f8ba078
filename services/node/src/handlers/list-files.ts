import { FileService } from "@paddock/protocol";
import { command } from "../command.ts";
import { filePage } from "../wire/file-info.ts";
import { guestOf, permitsContainer } from "./call.ts";

export const listFiles = command(
  FileService.method.listFiles,
  async (ctx, { sandboxId, containerId, path, pageSize, pageToken }, call) => {
    const entry = ctx.sandboxes.require(sandboxId);
    permitsContainer(entry, containerId, "files");
    const { files } = await guestOf(entry, call);
    const { signal } = call;
    return filePage(await files.listFiles({ containerId, path, pageSize, pageToken }, { signal }), pageSize);
  },
);
