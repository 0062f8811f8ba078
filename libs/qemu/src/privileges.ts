/**
 * Command prefix that drops privileges before QEMU executes.
 *
 * QEMU's `-runas` does not work together with `-sandbox elevateprivileges=deny`: the filter is active before the uid changes, and
 * QEMU dies of SIGSYS. setpriv drops privileges before QEMU's first instruction.
 */
export interface Privileges {
  /** Absent means the caller's user (a daemon that is not root). */
  readonly user?: { readonly uid: number; readonly gid: number; readonly groups: readonly number[] };
  /** Limit on open files of QEMU. Default 1024. */
  readonly maxOpenFiles?: number;
}

export function privilegePrefix(privileges: Privileges): string[] {
  const files = privileges.maxOpenFiles ?? 1024;
  // No core dump: it would contain the guest's memory.
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
