#!/usr/bin/env bash
# Installs and builds the requirements of Paddock: packages, tools, the agent, the guest's kernel and initramfs. Each step
# installs only what is missing, so a second run takes less than a second. Needs npm and Node 20 or later.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
export PATH="$PATH:${HOME:-/root}/.cargo/bin:/usr/sbin:/sbin"
# shellcheck source=lib/steps.sh
. deploy/lib/steps.sh
# shellcheck source=lib/toolchain.sh
. deploy/lib/toolchain.sh
# shellcheck source=lib/packages.sh
. deploy/lib/packages.sh

[ "$(uname -sm)" = "Linux x86_64" ] || {
  echo "Paddock's guests and agent need x86-64 Linux; this machine is $(uname -sm)." >&2
  exit 1
}

mkdir -p .paddock
log=$root/.paddock/setup.log
exec 9>.paddock/setup.lock
if ! flock -n 9; then
  echo "Another setup is running in this checkout; waiting for it."
  flock 9
fi
: >"$log"

started=$EPOCHREALTIME
echo "Setting up Paddock (log: .paddock/setup.log; the first run takes some minutes)"
step "system packages, Rust" install_packages
step "npm packages" install_npm_packages
step "third-party protos" copy_protos
step "command line" bundle_command_line
step "guest agent" build_agent
step "guest kernel and initramfs" build_guest
echo "Ready after $(seconds_since "$started") s."
