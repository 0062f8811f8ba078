import type { FileHandle } from "node:fs/promises";

/** A file that only grows, up to its last complete write. */
export type AppendFile = { readonly file: FileHandle; readonly sequence: number; bytes: number };

/** Appends all of `buffers`, `bytes` in total, or truncates a partial write and throws. */
export async function appendAll(
  { file, bytes: from }: AppendFile,
  buffers: readonly Uint8Array[],
  bytes: number,
): Promise<void> {
  try {
    let rest = buffers;
    for (let done = 0; done < bytes; ) {
      const { bytesWritten } = await file.writev(rest, from + done);
      if (bytesWritten === 0) throw new Error("the file takes no more bytes");
      done += bytesWritten;
      rest = after(rest, bytesWritten);
    }
  } catch (error) {
    await file.truncate(from);
    throw error;
  }
}

/** The rest of `buffers` after their first `count` bytes. */
function after(buffers: readonly Uint8Array[], count: number): Uint8Array[] {
  let skip = count;
  return buffers.flatMap((buffer) => {
    const part = buffer.subarray(Math.min(skip, buffer.length));
    skip -= buffer.length - part.length;
    return part.length > 0 ? [part] : [];
  });
}
