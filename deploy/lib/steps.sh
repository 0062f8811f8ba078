# Steps with progress: `step "title" command…` runs the command, appends its output to the file $log, and prints its
# duration, or the end of the output if it fails. Sourced.

seconds_since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'; }

# A step calls "note TEXT" to report what it did. Without a note the step is up to date.
note() { echo "$*" >&8; }

step() {
  local title=$1 start=$EPOCHREALTIME notes status
  shift
  [ -t 1 ] && printf '  … %s\r' "$title"
  echo "== $(date -u +%FT%TZ) $title" >>"$log"
  # In a command behind "||" or "if", bash ignores errexit. So it is off here, and on in the subshell.
  set +e
  notes=$(
    exec 8>&1
    set -e
    "$@" >>"$log" 2>&1 </dev/null
  )
  status=$?
  set -e
  if [ "$status" -ne 0 ]; then
    printf '  ✗ %s (%s s)\n' "$title" "$(seconds_since "$start")"
    echo "    the end of $log:" >&2
    tail -n 15 "$log" | sed 's/^/    | /' >&2
    exit 1
  fi
  printf '  ✓ %-28s %6s s  %s\n' "$title" "$(seconds_since "$start")" "${notes:-up to date}"
}
