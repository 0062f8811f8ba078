import type { Writable } from "node:stream";
import { OutputClosedError } from "@paddock/client";

/** Resolves when the operating system has accepted the bytes. Throws `OutputClosedError` if the output was closed. */
export function writeTo(sink: Writable, data: Uint8Array | string): Promise<void> {
  return new Promise((resolve, reject) => {
    if (sink.destroyed) return reject(new OutputClosedError("the output is closed"));
    sink.write(data, (error) => {
      if (error) reject(new OutputClosedError("the output is closed", { cause: error }));
      else resolve();
    });
  });
}
