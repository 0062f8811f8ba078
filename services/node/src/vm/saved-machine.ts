/** Checks of a saved machine before a machine is restored from it. */
import { createHash } from "node:crypto";
import { type FileHandle, open, stat } from "node:fs/promises";
import { PaddockError } from "@paddock/domain";
import type { SavedMachine } from "./machine-port.ts";

/** More than any valid state: without the guest's memory it has some hundred KiB. */
export const MAX_STATE_BYTES = 64 * 1024 * 1024;

/**
 * Opens the state for reading from its start. The digest is that of the opened file, and only the daemon may write to it. The
 * memory is too large to read at each restore, so only its size is checked.
 */
export async function openState(
  saved: SavedMachine,
  machine: { readonly layout: string; readonly memoryBytes: number },
): Promise<FileHandle> {
  if (saved.layout !== machine.layout)
    throw new PaddockError("VM_UNAVAILABLE", "the saved machine has other devices or another size", {
      hint: "save a machine of this layout again",
    });
  const memory = await stat(saved.memoryPath).catch(() => undefined);
  if (memory?.isFile() !== true || memory.size !== machine.memoryBytes)
    throw changed(`its memory has ${memory?.size ?? 0} bytes, not ${machine.memoryBytes}`);
  const state = await open(saved.statePath).catch((cause: unknown) => {
    throw changed("its state cannot be opened", cause);
  });
  try {
    if ((await digestOf(state)) !== saved.stateDigest) throw changed("its state has another digest");
    return state;
  } catch (error) {
    await state.close();
    throw error;
  }
}

/** Reads at positions, so that the descriptor stays at the start for the process that inherits it. */
async function digestOf(file: FileHandle): Promise<string> {
  const { size } = await file.stat();
  if (size > MAX_STATE_BYTES) throw changed(`its state has ${size} bytes`);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(size), 0, size, 0);
  return createHash("sha256").update(buffer.subarray(0, bytesRead)).digest("hex");
}

const changed = (what: string, cause?: unknown): PaddockError =>
  new PaddockError("DIGEST_MISMATCH", `the saved machine has changed: ${what}`, { cause });
