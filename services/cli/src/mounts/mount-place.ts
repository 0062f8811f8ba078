/** The two sides of a mount in words: where it is in the container, and a volume or a host directory. */
import { posix, resolve } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { MountSpec, MountSpecSchema } from "@paddock/protocol";
import { usageError } from "../cli-error.ts";
import { printable } from "../output/printable.ts";

type Mount = Exclude<MessageInitShape<typeof MountSpecSchema>, MountSpec>;

/** A mount with its destination and its source. */
export type MountInit = Mount & Required<Pick<Mount, "destination" | "source">>;

/** The directory of the user, which "~" stands for. */
export type Home = string | undefined;

const MAX_PATH_BYTES = 4095;

/** An absolute path in the container. `what` names the option. Throws a usage error. */
export function destinationOf(what: string, text: string): string {
  if (!text.startsWith("/"))
    throw usageError(
      `${what}: the destination "${printable(text)}" is not an absolute path in the container`,
      'write a path that begins with "/", such as "/data"',
    );
  const path = posix.normalize(text).replace(/\/$/, "");
  if (path === "")
    throw usageError(`${what}: nothing can be mounted over the root of the container`, "name a path below /");
  return atMost(what, path);
}

/** Whether a source names a directory of the host rather than a volume. */
export const isHostPath = (text: string): boolean => /^(\/|\.{1,2}(\/|$)|~(\/|$))/.test(text);

/** A directory of the host as an absolute path; a relative one is below the working directory. Throws a usage error. */
export function hostPath(what: string, text: string, home: Home): string {
  const fromHome = /^~(?:\/(.*))?$/s.exec(text);
  if (fromHome && !home)
    throw usageError(`${what}: "~" is a directory only if HOME is set`, "write the absolute path");
  return atMost(what, fromHome && home ? resolve(home, fromHome[1] ?? "") : resolve(text));
}

function atMost(what: string, path: string): string {
  if (Buffer.byteLength(path) <= MAX_PATH_BYTES) return path;
  throw usageError(`${what}: a path can have ${MAX_PATH_BYTES} bytes`);
}
