#!/usr/bin/env bash
# The whole story once, on this machine: set up, start, import an image, run a container in a VM, talk to it, look at
# it, remove it, stop, and look for anything left. All of it in a directory and on ports of its own, so that it
# neither disturbs a Paddock that is up nor leaves one behind.
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

# Shows a command as one would type it, runs it, and tells how long it took.
show() {
  local start=$EPOCHREALTIME status=0
  printf '  $ %s\n' "$*"
  "$@" 2>&1 | sed 's/^/    /' || status=${PIPESTATUS[0]}
  [ "$status" = 0 ] || fail "\"$*\" exited with code $status"
  printf '    (%s s)\n' "$(seconds_since "$start")"
}

paddock() { "$root/services/cli/bin/paddock" "$@"; }

[ "$(id -u)" = 0 ] || fail "root is needed, to give each VM a user and a control group of its own: sudo npm run quickstart"

title "1. Set up"
bash deploy/setup.sh

# Short, because a unix socket's path has at most 107 bytes, and open to traverse for the VMs' users.
state=$(mktemp -d /tmp/pdqXXXXXX)
chmod 0711 "$state"
unset PADDOCK_API PADDOCK_TOKEN_FILE PADDOCK_TLS_CA
export PADDOCK_STATE_DIR=$state NO_COLOR=1
list_unsigned >"$state/before"

clean_up() {
  local status=$?
  trap - EXIT INT TERM
  if [ "$status" != 0 ]; then
    printf '\n  The quickstart did not get to its end (code %s); cleaning up.\n' "$status" >&2
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

title "4. Run a container, in a VM of its own"
service='i=0; while :; do i=$((i+1)); echo "tick $i"; echo "tock $i" >&2; sleep 0.2; done'
show paddock run -d --name quickstart --cpus 1 --memory 64m paddock/tiny:latest sh -c "$service"
show paddock ps

title "5. Talk to it while it runs"
show paddock exec quickstart -- uname -srm
show paddock exec quickstart -- sh -c 'for i in 1 2 3; do echo "line $i"; sleep 0.1; done'
paddock exec quickstart -- sh -c 'exit 42' && code=0 || code=$?
[ "$code" = 42 ] || fail "the exit code of a command was 42, and paddock exec exited with $code"
tick "the exit code of a command comes back: $code"
sum=$(seq 1 20000 | paddock exec -i quickstart -- md5sum | cut -d' ' -f1)
[ "$sum" = "$(seq 1 20000 | md5sum | cut -d' ' -f1)" ] || fail "what was sent to stdin did not arrive whole: $sum"
tick "108894 bytes through stdin arrive whole: md5 $sum"

title "6. Look at it"
show paddock stats --no-stream quickstart
paddock stats --no-stream -o json quickstart >"$state/stats.json"
"$root/node_modules/node/bin/node" - "$state/stats.json" <<'JS' || fail "the figures make no sense: $(cat "$state/stats.json")"
const { host, containers } = JSON.parse(require("node:fs").readFileSync(process.argv[2], "utf8"));
const fine = Number(host.cpu.usageUs) > 0 && Number(host.memory.usageBytes) > 1e6 &&
  Number(containers[0].cpu.usageUs) > 0 && Number(containers[0].memory.usageBytes) > 0 &&
  Number(containers[0].memory.limitBytes) === 64 * 1024 * 1024;
process.exit(fine ? 0 : 1);
JS
tick "CPU and memory of the VM and of its container are there, and its limit is the one that was asked for"
[ -n "$(control_groups_of "$state")" ] || fail "the VM is in no control group of its own"
show paddock logs --tail 4 quickstart
show paddock top quickstart
show paddock update --cpus 0.5 --memory 96m quickstart
limit=$(paddock exec quickstart -- cat /sys/fs/cgroup/memory.max)
[ "$limit" = $((96 * 1024 * 1024)) ] || fail "the guest holds the container to $limit bytes of memory, not to the 96 MiB it was given"
tick "limits change while it runs: the guest's kernel says 96 MiB"

title "7. Remove it and stop"
show paddock rm -f quickstart
show paddock down

title "8. Look for anything left behind"
check_nothing_left "$state" "$state/before" || fail "something was left behind"
rm -rf --one-file-system "$state"
tick "no file: $state is removed"

title "All of it worked, in $(seconds_since "$began") s."
echo 'To keep it: "npx paddock up --detach", then "npx paddock --help".'
