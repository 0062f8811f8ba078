/**
 * Places a process in its cgroup before it executes.
 *
 * A process that is moved later runs, allocates and forks uncharged until then, and memory charged before the move stays with the
 * old cgroup. So a shell moves itself and then executes the program. It runs before privileges are dropped, so the program cannot
 * leave the cgroup.
 */

/** Writing 0 moves the writing process (cgroups(7)). On failure the shell exits with 125 and the program does not run. */
const SCRIPT = 'while [ "$1" != -- ]; do echo 0 > "$1" || exit 125; shift; done; shift; exec "$@"';

/** Command prefix; `procsFiles` are absolute paths of cgroup.procs files. */
export function placementPrefix(procsFiles: readonly string[]): string[] {
  return ["sh", "-c", SCRIPT, "paddock-place", ...procsFiles, "--"];
}
