#!/usr/bin/env bash
# Builds the guest: out/vmlinux, out/vmlinuz, out/initramfs.cpio, out/manifest.json (see README.md).
# Does nothing when the inputs are those of the last build. Environment:
#   PADDOCK_AGENT   the agent's binary (default: the static release build in services/agent)
#   PADDOCK_CACHE   where packages are kept (default: deploy/guest/cache)
#   --refresh       asks apt for a newer kernel first
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${PADDOCK_CACHE:-$here/cache}
agent=${PADDOCK_AGENT:-$root/services/agent/target/x86_64-unknown-linux-gnu/release/paddock-agent}
out=$here/out

die() {
  echo "guest build: $*" >&2
  exit 1
}

[ -f "$agent" ] || die "the agent is missing at $agent; run: cargo build --release in services/agent"
mkdir -p "$cache" "$out"
exec 9>"$cache/.lock"
flock 9

fetch_kernel() {
  local package
  grep -qx 'ID="\?debian"\?' /etc/os-release 2>/dev/null ||
    die "the guest's kernel is Debian's and comes by apt-get; build on Debian 12 and copy deploy/guest/out and cache here"
  package=$(apt-cache depends --important linux-image-cloud-amd64 2>/dev/null |
    awk '/Depends: linux-image-[0-9]/ { print $2; exit }')
  [ -n "$package" ] || die "apt knows no linux-image-cloud-amd64; run: apt-get update"
  if [ ! -f "$cache/kernel/$package.ok" ]; then
    # Beside the cache, then renamed: a broken download leaves no half kernel behind.
    rm -rf "$cache/kernel.new"
    mkdir -p "$cache/kernel.new/deb" "$cache/kernel.new/root"
    (cd "$cache/kernel.new/deb" && apt-get download -q "$package" >/dev/null 2>"$cache/apt.log") ||
      die "cannot download $package: $(tail -n 3 "$cache/apt.log")"
    dpkg-deb -x "$cache"/kernel.new/deb/*.deb "$cache/kernel.new/root"
    rm -r "$cache/kernel.new/deb"
    PATH=$PATH:/usr/sbin:/sbin depmod -b "$cache/kernel.new/root" "${package#linux-image-}"
    touch "$cache/kernel.new/$package.ok"
    rm -rf "$cache/kernel"
    mv "$cache/kernel.new" "$cache/kernel"
  fi
}

kernel_mark() { (cd "$cache/kernel" 2>/dev/null && ls -- *.ok 2>/dev/null) || true; }

if [ "${1:-}" = --refresh ] || [ -z "$(kernel_mark)" ]; then
  fetch_kernel
fi

stamp=$({
  kernel_mark
  cat "$here"/build.sh "$here"/*.ts "$here/modules.list" "$agent"
} | sha256sum | cut -d' ' -f1)
if [ "$(cat "$out/.stamp" 2>/dev/null)" = "$stamp" ] && [ -f "$out/manifest.json" ] &&
  [ -f "$out/vmlinux" ] && [ -f "$out/initramfs.cpio" ]; then
  exit 0
fi

node=$root/node_modules/.bin/node
[ -x "$node" ] || die "node_modules is missing; run: npm run setup"
rm -f "$out/.stamp"
"$node" "$here/build-guest.ts" --kernel-root "$cache/kernel/root" --agent "$agent" \
  --modules-list "$here/modules.list" --out "$out"
echo "$stamp" >"$out/.stamp"
