/**
 * Opens a directory of the host that a client has named.
 *
 * The operator's setting names directories, and may use links. Below one of them, each part of the path is opened in the
 * directory opened before it, and a link is refused, also one that takes the place of a directory meanwhile. From then on the
 * descriptor counts, and no path is looked up again.
 */
import { constants } from "node:fs";
import { type FileHandle, open, readlink, realpath } from "node:fs/promises";
import { PaddockError } from "@paddock/domain";

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY;

export type AllowedDirectories = {
  /** Absolute paths in normal form. */
  readonly allowed: readonly string[];
  /** The node's own directory: no share contains it, or lies in it. */
  readonly stateDir: string;
};

/** A path of an open descriptor of this process. */
export const pathOfHandle = ({ fd }: FileHandle): string => `/proc/${process.pid}/fd/${fd}`;

/** Opens the directory at `path`, which is in normal form. Throws PATH_NOT_ALLOWED, FILE_NOT_FOUND or HOST_REFUSED. */
export async function openAllowed(
  path: string,
  { allowed, stateDir }: AllowedDirectories,
): Promise<FileHandle> {
  const root = allowed.find((each) => isAtOrBelow(path, each));
  if (root === undefined)
    throw notAllowed(
      `the node does not share ${path}`,
      "the node's setting PADDOCK_HOST_DIRECTORIES names them",
    );
  let directory = await openRoot(root);
  try {
    for (const part of partsOf(path.slice(root.length))) {
      const parent = directory;
      directory = await openPart(parent, part, path);
      await parent.close();
    }
    await refuseState(await readlink(pathOfHandle(directory)), path, stateDir);
    return directory;
  } catch (error) {
    await directory.close();
    throw error;
  }
}

const partsOf = (path: string): readonly string[] => path.split("/").filter((part) => part !== "");

const isAtOrBelow = (path: string, directory: string): boolean =>
  path === directory || path.startsWith(directory === "/" ? "/" : `${directory}/`);

async function openRoot(root: string): Promise<FileHandle> {
  try {
    return await open(root, DIRECTORY);
  } catch (cause) {
    throw new PaddockError("HOST_REFUSED", `the node cannot open ${root}, which its operator allows`, {
      cause,
    });
  }
}

/** In one directory `part` is one name: it has no slash and is not "." or "..". */
async function openPart(parent: FileHandle, part: string, path: string): Promise<FileHandle> {
  try {
    return await open(`${pathOfHandle(parent)}/${part}`, DIRECTORY | constants.O_NOFOLLOW);
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    if (code === "ENOENT")
      throw new PaddockError("FILE_NOT_FOUND", `the node has no directory ${path}`, { cause });
    // A link is not a directory.
    if (code === "ELOOP" || code === "ENOTDIR")
      throw notAllowed(`${part} in ${path} is a link or not a directory`, "name the directory without links");
    throw new PaddockError("HOST_REFUSED", `the node cannot open ${path}`, { cause });
  }
}

async function refuseState(real: string, path: string, stateDir: string): Promise<void> {
  const state = await realpath(stateDir);
  if (isAtOrBelow(real, state) || isAtOrBelow(state, real))
    throw notAllowed(`${path} contains the node's state or lies in it`, "share another directory");
}

const notAllowed = (what: string, hint: string): PaddockError =>
  new PaddockError("PATH_NOT_ALLOWED", what, { hint });
