#!/usr/bin/env bash
# The static checks. Each check prints one line, and runs even if an earlier one fails. The output of checks that fail
# follows at the end.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH="$PWD/node_modules/.bin:$PATH:$HOME/.cargo/bin"

for tool in node_modules/.bin/node cargo cargo-clippy cargo-fmt git; do
  command -v "$tool" >/dev/null || {
    echo "$tool is missing. This installs it: npm run setup" >&2
    exit 1
  }
done

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

types() { tsc --project . --noEmit; }
style() { biome ci --colors=off --error-on-warnings --max-diagnostics=200 .; }
arrows() { depcruise --config .dependency-cruiser.mjs --output-type err-long libs services deploy test; }
unused() { knip --no-progress --no-config-hints; }
shell_syntax() { git -c safe.directory="$PWD" ls-files --cached --others --exclude-standard -- '*.sh' .ci/run | xargs -r -n1 bash -n; }
protocol() { bash test/contract/check-protocol.sh; }
agent_format() { cargo fmt --manifest-path services/agent/Cargo.toml --all --check; }
agent_lint() {
  cargo clippy --manifest-path services/agent/Cargo.toml --quiet --locked --all-targets -- --deny warnings
}

declare -A titles=(
  [agent_lint]="agent: clippy" [types]="types" [protocol]="protocol: lint, breaking, generated code"
  [arrows]="arrows between packages" [unused]="unused code and dependencies" [style]="format and lint"
  [agent_format]="agent: format" [shell_syntax]="shell scripts parse"
)
# The longest first.
waiting=(agent_lint types protocol arrows unused style agent_format shell_syntax)

start_check() {
  local name=$1
  {
    "$name" >"$scratch/$name.log" 2>&1
    echo $? >"$scratch/$name.status"
    echo "$EPOCHREALTIME" >"$scratch/$name.ended"
  } </dev/null &
  running[$!]=$name
  began[$name]=$EPOCHREALTIME
}

report_check() {
  local name=$1 seconds verdict=ok
  local status ended
  status=$(cat "$scratch/$name.status") ended=$(cat "$scratch/$name.ended")
  seconds=$(awk -v a="${began[$name]}" -v b="$ended" 'BEGIN { printf "%.1f", b - a }')
  if [ "$status" != 0 ]; then
    verdict=FAIL
    failed+=("$name")
  fi
  printf '%-5s %-42s %6s s\n' "$verdict" "${titles[$name]}" "$seconds"
}

declare -A running=() began=()
failed=()
jobs_at_once=$(nproc)
while [ ${#waiting[@]} -gt 0 ] || [ ${#running[@]} -gt 0 ]; do
  while [ ${#waiting[@]} -gt 0 ] && [ ${#running[@]} -lt "$jobs_at_once" ]; do
    start_check "${waiting[0]}"
    waiting=("${waiting[@]:1}")
  done
  wait -n -p done_pid
  report_check "${running[$done_pid]}"
  unset "running[$done_pid]"
done

for name in ${failed[@]+"${failed[@]}"}; do
  printf '\n--- %s\n' "${titles[$name]}"
  cat "$scratch/$name.log"
done
if [ ${#failed[@]} -gt 0 ]; then
  printf '\n%d of %d checks failed\n' ${#failed[@]} ${#titles[@]}
  exit 1
fi
