/**
 * The directories of this host that "paddock up" lets clients mount: the one in which it is called, and those below.
 *
 * Each program that reaches the api may write there as the directory's owner. So neither "/" nor root's home directory, which has
 * root's keys, is shared because somebody happened to be there. The operator's setting comes first, also when it is empty.
 */
import { homedir } from "node:os";

const SETTING = "PADDOCK_HOST_DIRECTORIES";

export type Caller = { readonly directory: string; readonly home: string };

/** The settings of the environment, with the caller's directory unless they say which. */
export function withCallersDirectory(
  env: Readonly<Record<string, string | undefined>>,
  { directory, home }: Caller = { directory: process.cwd(), home: homedir() },
): Readonly<Record<string, string | undefined>> {
  const isShared =
    directory !== "/" && directory !== home && directory !== "/root" && !directory.includes(":");
  if (env[SETTING] !== undefined || !isShared) return env;
  return { ...env, [SETTING]: directory };
}
