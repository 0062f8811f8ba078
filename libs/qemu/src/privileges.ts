/**
 * Words put before the binary that take privileges away before it executes.
 *
 * QEMU's own `-runas` cannot be used: together with `-sandbox elevateprivileges=deny` it dies of SIGSYS,
 * because the filter is in place before the uid changes. setpriv does it before QEMU's first instruction.
 */
export interface Privileges {
  /** Absent: keep the caller's user (a daemon that is not root). */
  readonly user?: { readonly uid: number; readonly gid: number; readonly groups: readonly number[] };
  /** Open files QEMU may have. Default 1024. */
  readonly maxOpenFiles?: number;
}

export function privilegePrefix(privileges: Privileges): string[] {
  const files = privileges.maxOpenFiles ?? 1024;
  // No core dump: it would hold the guest's memory.
  const limits = ["prlimit", "--core=0", `--nofile=${files}:${files}`, "--"];
  const user = privileges.user;
  if (user === undefined) return [...limits, "setpriv", "--no-new-privs", "--"];
  return [
    ...limits,
    "setpriv",
    `--reuid=${user.uid}`,
    `--regid=${user.gid}`,
    ...(user.groups.length === 0 ? ["--clear-groups"] : [`--groups=${user.groups.join(",")}`]),
    "--no-new-privs",
    "--inh-caps=-all",
    "--bounding-set=-all",
    "--",
  ];
}
