/**
 * Puts a process into its cgroup before it executes.
 *
 * Moving it afterwards would leave a moment in which it runs, allocates and forks uncharged; memory charged
 * before a move stays with the old cgroup for good. So a shell, whose only work this is, moves itself and then
 * becomes the program. It runs before privileges are dropped: the program itself can not leave again.
 */

/** Writing 0 moves the writing process (cgroups(7)). A failure ends with 125, before the program has run. */
const SCRIPT = 'while [ "$1" != -- ]; do echo 0 > "$1" || exit 125; shift; done; shift; exec "$@"';

/** Words to put before a command; `procsFiles` are absolute paths of cgroup.procs files. */
export function placementPrefix(procsFiles: readonly string[]): string[] {
  return ["sh", "-c", SCRIPT, "paddock-place", ...procsFiles, "--"];
}
