#!/usr/bin/env bash
# Sets up Paddock on this machine and demonstrates it once: starts it, imports an image, runs a container in a VM, uses and
# removes it, stops Paddock, and checks that nothing is left behind. It has its own directory and ports, so it does not disturb a
# running Paddock.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
# shellcheck source=lib/left-behind.sh
. deploy/lib/left-behind.sh
began=$EPOCHREALTIME

seconds_since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'; }
bold=$([ -t 1 ] && tput bold 2>/dev/null || true) plain=$([ -t 1 ] && tput sgr0 2>/dev/null || true)
title() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
tick() { printf '  ✓ %s\n' "$*"; }
fail() {
  printf '\n  ✗ %s\n' "$*" >&2
  exit 1
}

# Prints a command, runs it, and prints its duration.
show() {
  local start=$EPOCHREALTIME status=0
  printf '  $ %s\n' "$*"
  "$@" 2>&1 | sed 's/^/    /' || status=${PIPESTATUS[0]}
  [ "$status" = 0 ] || fail "\"$*\" exited with code $status"
  printf '    (%s s)\n' "$(seconds_since "$start")"
}

paddock() { "$root/services/cli/bin/paddock" "$@"; }

[ "$(id -u)" = 0 ] || fail "each VM gets its own user and control group, which needs root: sudo npm run quickstart"

title "1. Set up"
bash deploy/setup.sh

# Short, because the path of a unix socket has at most 107 bytes. The VMs' users need x on it.
state=$(mktemp -d /tmp/pdqXXXXXX)
chmod 0711 "$state"
unset PADDOCK_API PADDOCK_TOKEN_FILE PADDOCK_TLS_CA
export PADDOCK_STATE_DIR=$state NO_COLOR=1
list_unsigned >"$state/before"

clean_up() {
  local status=$?
  trap - EXIT INT TERM
  if [ "$status" != 0 ]; then
    printf '\n  The quickstart failed (code %s); cleaning up.\n' "$status" >&2
    for log in "$state"/logs/{supervisor,api,node}.log; do
      [ -s "$log" ] && printf '  the end of %s:\n' "${log##*/}" >&2 && tail -n 8 "$log" | cut -c1-300 | sed 's/^/    | /' >&2
    done
    timeout 60 "$root/services/cli/bin/paddock" down >&2 || true
    end_processes_of "$state"
  fi
  rm -rf --one-file-system "$state"
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

title "2. Start a NATS server, the api and a node daemon"
show paddock up --detach --api-port 0 --http-port 0 --stream-port 0 --bus-port 0
show paddock node ls

title "3. Build a real OCI image and import it"
archive=$("$root/node_modules/node/bin/node" deploy/images/tiny-image.ts)
tick "built $(du -h "$archive" | cut -f1) OCI archive ${archive/#$HOME/\~}"
show paddock image import "$archive"
show paddock image ls

title "4. Run a container in its own VM"
service='i=0; while :; do i=$((i+1)); echo "tick $i"; echo "tock $i" >&2; sleep 0.2; done'
show paddock run -d --name quickstart --cpus 1 --memory 64m paddock/tiny:latest sh -c "$service"
show paddock ps

title "5. Execute commands in it"
show paddock exec quickstart -- uname -srm
show paddock exec quickstart -- sh -c 'for i in 1 2 3; do echo "line $i"; sleep 0.1; done'
paddock exec quickstart -- sh -c 'exit 42' && code=0 || code=$?
[ "$code" = 42 ] || fail "the exit code of a command was 42, and paddock exec exited with $code"
tick "the exit code of a command comes back: $code"
sum=$(seq 1 20000 | paddock exec -i quickstart -- md5sum | cut -d' ' -f1)
[ "$sum" = "$(seq 1 20000 | md5sum | cut -d' ' -f1)" ] || fail "the command did not read the bytes sent to its stdin: $sum"
tick "108894 bytes of stdin arrive unchanged: md5 $sum"

title "6. Show its figures, logs and processes, and change its limits"
show paddock stats --no-stream quickstart
paddock stats --no-stream -o json quickstart >"$state/stats.json"
"$root/node_modules/node/bin/node" - "$state/stats.json" <<'JS' || fail "the figures are wrong: $(cat "$state/stats.json")"
const { host, containers } = JSON.parse(require("node:fs").readFileSync(process.argv[2], "utf8"));
const fine = Number(host.cpu.usageUs) > 0 && Number(host.memory.usageBytes) > 1e6 &&
  Number(containers[0].cpu.usageUs) > 0 && Number(containers[0].memory.usageBytes) > 0 &&
  Number(containers[0].memory.limitBytes) === 64 * 1024 * 1024;
process.exit(fine ? 0 : 1);
JS
tick "the VM and its container have figures of CPU and memory, and the memory limit is 64 MiB"
[ -n "$(control_groups_of "$state")" ] || fail "the VM has no control group"
show paddock logs --tail 4 quickstart
show paddock top quickstart
show paddock update --cpus 0.5 --memory 96m quickstart
limit=$(paddock exec quickstart -- cat /sys/fs/cgroup/memory.max)
[ "$limit" = $((96 * 1024 * 1024)) ] || fail "the container's memory limit in the guest is $limit bytes instead of 96 MiB"
tick "the limits of a running container change: the guest's kernel has 96 MiB"

title "7. Remove it and stop"
show paddock rm -f quickstart
show paddock down

title "8. Look for anything left behind"
check_nothing_left "$state" "$state/before" || fail "something was left behind"
rm -rf --one-file-system "$state"
tick "no file: $state is removed"

title "Everything worked, in $(seconds_since "$began") s."
echo 'To use it: "npx paddock up --detach", then "npx paddock --help".'
