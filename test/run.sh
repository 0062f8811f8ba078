#!/usr/bin/env bash
# Sets the machine up if necessary, then runs all checks and tests and reports what failed.
#
#   npm test                          everything
#   npm test -- libs/images           the tests below a directory, or of one file
#   npm test -- e2e/exec              the same, counted from test/
#   npm test -- check agent unit e2e fleet    whole stages
#   npm test -- e2e/exec --test-name-pattern=stdin    further options go to node's test runner
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH="$PWD/node_modules/.bin:$PATH:$HOME/.cargo/bin"

stages=()
unit_files=()
e2e_files=()
fleet_files=()
node_options=()
failures=()
durations=()
began=$SECONDS
tests=0 passed=0 failed=0 not_run=0

# All tests except those of e2e and fleet, so that a new directory is included.
unit_tests() { tests_below libs services deploy test | grep -vE '^test/(e2e|fleet)/'; }

# The longest files start first, so that the last file does not run alone at the end of a stage.
e2e_tests() {
  local long='/(creation-fails|container-creation-fails|chaos|interfaces|cgroup-layouts|exec|causes|semantics|state-trouble|network|volumes|files)\.test\.ts$'
  tests_below test/e2e | grep -E "$long"
  tests_below test/e2e | grep -vE "$long"
}

tests_below() { find "$@" \( -name node_modules -o -name target -o -name planted \) -prune -o -name '*.test.ts' -print 2>/dev/null | sort; }

# Sorts one argument into the stage its files belong to.
select_tests() {
  local found=() file
  case $1 in
    check | agent | unit | e2e | fleet) stages+=("$1") && return ;;
    services/agent*) stages+=(agent) && return ;;
    --*) node_options+=("$1") && return ;;
  esac
  for file in "$1" "test/$1"; do
    if [ -e "$file" ]; then mapfile -t found < <(tests_below "$file"); fi
    if [ ${#found[@]} -eq 0 ]; then mapfile -t found < <(compgen -G "${file}*.test.ts"); fi
    if [ ${#found[@]} -gt 0 ]; then break; fi
  done
  if [ ${#found[@]} -eq 0 ]; then
    echo "no test matches \"$1\"" >&2
    exit 2
  fi
  for file in "${found[@]}"; do
    case $file in
      test/e2e/*) e2e_files+=("$file") ;;
      test/fleet/*) fleet_files+=("$file") ;;
      *) unit_files+=("$file") ;;
    esac
  done
}

wants() { [[ " ${stages[*]} " == *" $1 "* ]]; }

banner() { printf '\n== %s\n' "$1"; }

run_stage() {
  local name=$1 stage_began=$SECONDS
  shift
  banner "$name"
  "$@" || failures+=("$name")
  durations+=("$name $((SECONDS - stage_began)) s")
}

# node_tests STAGE CONCURRENCY FILE_DEADLINE_SECONDS FILE...
node_tests() {
  local stage=$1 concurrency=$2 deadline_ms=$(($3 * 1000)) status
  shift 3
  PADDOCK_TEST_FILE_DEADLINE_MS=$deadline_ms TMPDIR=$run_directory \
    node --import "$PWD/test/runner/file-deadline.ts" \
    test/runner/run-files.ts "$concurrency" "$deadline_ms" "$scratch/tally" "$@" \
    ${node_options[@]+"${node_options[@]}"} </dev/null
  status=$?
  count_tally "$stage"
  return $status
}

count_tally() {
  local stage=$1 t=0 p=0 f=0 n=0
  read -r t p f n <"$scratch/tally" 2>/dev/null
  tail -n +2 "$scratch/tally" | sed "s/^/# slowest $stage /"
  : >"$scratch/tally"
  tests=$((tests + t)) passed=$((passed + p)) failed=$((failed + f)) not_run=$((not_run + n))
  if [ "$t" -eq 0 ]; then failures+=("$stage: no test ran"); fi
  if [ "$n" -gt 0 ]; then failures+=("$stage: $n tests did not run"); fi
}

agent_tests() {
  cargo test --manifest-path services/agent/Cargo.toml --locked </dev/null 2>&1 | tee "$scratch/agent"
  local status=${PIPESTATUS[0]} line
  while read -r line; do
    if [[ $line =~ ^test\ result:.*\ ([0-9]+)\ passed\;\ ([0-9]+)\ failed\;\ ([0-9]+)\ ignored ]]; then
      tests=$((tests + BASH_REMATCH[1] + BASH_REMATCH[2] + BASH_REMATCH[3]))
      passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
      if [ "${BASH_REMATCH[3]}" -gt 0 ]; then failures+=("agent: ${BASH_REMATCH[3]} tests ignored"); fi
    fi
  done <"$scratch/agent"
  return "$status"
}

for argument in "$@"; do select_tests "$argument"; done
if [ ${#stages[@]} -eq 0 ] && [ $((${#unit_files[@]} + ${#e2e_files[@]} + ${#fleet_files[@]})) -eq 0 ]; then
  stages=(setup check agent unit e2e fleet)
fi
if wants unit; then mapfile -t unit_files < <(unit_tests); fi
if wants e2e; then mapfile -t e2e_files < <(e2e_tests); fi
if wants fleet; then mapfile -t fleet_files < <(tests_below test/fleet); fi

# Short, because the path of a unix socket has at most 107 bytes. The VMs' users need x on it.
run_directory=$(mktemp -d /tmp/pdXXXXXX)
chmod 0711 "$run_directory"
scratch=$(mktemp -d)
# An interrupted run ends the processes that it started.
finish() {
  rm -rf "$scratch"
  rm -rf --one-file-system "$run_directory"
}
trap finish EXIT
trap 'node test/runner/left-behind.ts after "$scratch/before" "$run_directory"; exit 130' INT TERM

if [ ! -x node_modules/.bin/node ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  banner "npm packages"
  # Not `npm ci`: it fails when the registry lacks a package for another platform. `npm install` obeys the lock file
  # too, and a test compares it with the manifests.
  npm install --no-save --no-audit --no-fund --loglevel=error </dev/null || exit 1
fi
if wants setup || [ $((${#e2e_files[@]} + ${#fleet_files[@]})) -gt 0 ] || wants agent; then
  banner "set-up"
  bash deploy/setup.sh </dev/null || exit 1
fi
node test/runner/left-behind.ts before "$scratch/before"

# Each test file and each service is a process. With a cache of compiled code each starts half a second sooner.
export NODE_COMPILE_CACHE=$PWD/.paddock/compile-cache

cores=$(nproc)
if wants check; then run_stage check bash test/check.sh; fi
if wants agent; then run_stage agent agent_tests; fi
# Unit tests wait for timers, disks and children about as long as they compute.
if [ ${#unit_files[@]} -gt 0 ]; then run_stage unit node_tests unit $((cores + 2)) 300 "${unit_files[@]}"; fi
# An emulated VM keeps a core busy while it boots, but a file also waits for deadlines and grace periods. If other programs use
# the cores, a stage gets a larger share of them with more files at a time.
if [ ${#e2e_files[@]} -gt 0 ]; then run_stage e2e node_tests e2e "${PADDOCK_E2E_CONCURRENCY:-$((cores + 2))}" 600 "${e2e_files[@]}"; fi
if [ ${#fleet_files[@]} -gt 0 ]; then run_stage fleet node_tests fleet 1 900 "${fleet_files[@]}"; fi

node test/runner/left-behind.ts after "$scratch/before" "$run_directory" || failures+=("the tests left something behind")

printf '\n# tests %d\n# pass %d\n# fail %d\n# skipped %d\n# duration_s %d\n' \
  "$tests" "$passed" "$failed" "$not_run" $((SECONDS - began))
printf '# stage %s\n' ${durations[@]+"${durations[@]}"}
if [ ${#failures[@]} -gt 0 ]; then
  printf 'FAILED: %s\n' "${failures[@]}"
  exit 1
fi
