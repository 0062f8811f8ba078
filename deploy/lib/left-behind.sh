# Finds the leftovers of a run on the machine, and ends its processes. Sourced.
#
# A process belongs to a run if the run's state directory is in its command line or environment, and a control group if its name
# begins with a hash of that directory. Links and firewall tables have no such mark: they are compared with a list from before the
# run.

list_unsigned() {
  ls /sys/class/net | grep -E '^(paddock|pdk?)[-.0-9]' | sed 's/^/link /' || true
  nft list tables 2>/dev/null | grep paddock | sed 's/^/firewall /' || true
}

control_groups_of() {
  local hash
  hash=$(printf %s "$1/node" | sha256sum | cut -c1-8)
  find /sys/fs/cgroup -type d -path "*/paddock/$hash-*" 2>/dev/null || true
}

# The pids of processes that have the directory in their command line or environment, without this script's.
processes_of() {
  local directory=$1 entry pid
  for entry in /proc/[0-9]*; do
    pid=${entry#/proc/}
    [ "$pid" = $$ ] || [ "$pid" = "$BASHPID" ] && continue
    # Children of this script also have it in their environment, and end with the script.
    [ "$(awk '{ print $4 }' "$entry/stat" 2>/dev/null)" = $$ ] && continue
    if tr '\0' '\n' 2>/dev/null <"$entry/cmdline" | grep -qF "$directory" ||
      tr '\0' '\n' 2>/dev/null <"$entry/environ" | grep -qF "=$directory"; then
      echo "$pid"
    fi
  done
}

end_processes_of() {
  local pid
  for pid in $(processes_of "$1"); do kill -KILL "$pid" 2>/dev/null || true; done
}

# check_nothing_left DIRECTORY BEFORE: prints one tick per kind of leftover that does not exist.
check_nothing_left() {
  local directory=$1 before=$2 status=0 found
  report_kind() {
    if [ -z "$2" ]; then
      printf '  ✓ no %s\n' "$1"
    else
      printf '  ✗ %s: %s\n' "$1" "$2" >&2
      status=1
    fi
  }
  found=$(for pid in $(processes_of "$directory"); do tr '\0' ' ' <"/proc/$pid/cmdline" | cut -c1-120; echo; done)
  report_kind process "$found"
  report_kind mount "$(awk -v d="$directory/" 'index($5, d) == 1 { print $5 }' /proc/self/mountinfo)"
  report_kind "loop device" "$(cat /sys/block/loop*/loop/backing_file 2>/dev/null | grep -F "$directory/" || true)"
  found=$(list_unsigned | sort | comm -13 <(sort "$before") - | tr '\n' ' ')
  report_kind "network link or firewall table" "$found"
  report_kind "control group" "$(control_groups_of "$directory")"
  report_kind socket "$(find "$directory" -type s)"
  report_kind "directory of a sandbox or a VM" "$(find "$directory" \( -path "*/sandboxes/*" -o -path "*/vms/*" \) -mindepth 1 -maxdepth 4 | head -5)"
  return $status
}
