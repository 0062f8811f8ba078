# System packages: the program that each is needed for, and the installation of those that are missing. Sourced, after
# toolchain.sh.

# program:package. A package counts as installed if its program is found, so this works on other distributions and for programs
# built by hand.
needed_programs=(
  qemu-system-x86_64:qemu-system-x86 # runs the guests
  nats-server:nats-server            # the bus, for development and tests
  mksquashfs:squashfs-tools          # images
  sqfstar:squashfs-tools
  mke2fs:e2fsprogs      # writable disks
  mmdebstrap:mmdebstrap # the base image
  ip:iproute2           # network
  tc:iproute2
  bridge:iproute2
  nft:nftables
  sysctl:procps
  setpriv:util-linux    # drops privileges before QEMU
  prlimit:util-linux
  lz4:lz4               # unpacks the guest kernel
  zstd:zstd
  xz:xz-utils
  depmod:kmod
  cc:gcc                # links the agent
  busybox:busybox-static # the root file system of the agent's tests
  git:git               # lists the files for the checks
  python3:python3       # gives the command line a terminal in tests
)
# Packages without a program: a static link needs libc.a, and cargo needs certificates for downloads.
needed_files=(
  libc6-dev:/usr/lib/x86_64-linux-gnu/libc.a:/usr/lib64/libc.a:/usr/lib/libc.a
  ca-certificates:/etc/ssl/certs/ca-certificates.crt:/etc/pki/tls/certs
)
# Debian's own cargo is too old for the agent. Debian keeps these packages current for browsers. All four are needed,
# because the tools must have the compiler's version. "npm run check" uses the last two.
rust_packages=(cargo-web rustc-web rustfmt-web rust-web-clippy)

any_exists() {
  local path
  for path in "$@"; do [ -e "$path" ] && return; done
  return 1
}

missing_packages() {
  local entry paths
  {
    for entry in "${needed_programs[@]}"; do
      command -v "${entry%%:*}" >/dev/null || echo "${entry#*:}"
    done
    for entry in "${needed_files[@]}"; do
      IFS=: read -ra paths <<<"${entry#*:}"
      any_exists "${paths[@]}" || echo "${entry%%:*}"
    done
    rust_is_current || printf '%s\n' "${rust_packages[@]}"
  } | sort -u
}

missing_programs() {
  local entry
  for entry in "${needed_programs[@]}"; do
    command -v "${entry%%:*}" >/dev/null || printf '%s ' "${entry%%:*}"
  done
  rust_is_current || printf 'cargo rustc cargo-clippy cargo-fmt (%s or later) ' "$(wanted_rust)"
}

# Derived distributions lack some of the packages, or have other names for them.
is_debian() { grep -qx 'ID="\?debian"\?' /etc/os-release 2>/dev/null; }
system_name() { (. /etc/os-release 2>/dev/null && echo "${PRETTY_NAME:-}") || uname -sr; }

# A package starts its services on installation unless policy-rc.d forbids it (Debian policy 9.3.3).
without_starting_services() (
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
  fi
  "$@"
)

apt_install() {
  local lock_wait=(-o DPkg::Lock::Timeout=600)
  export DEBIAN_FRONTEND=noninteractive
  # On a new machine the package lists may be missing, or name files that no longer exist.
  without_starting_services apt-get "${lock_wait[@]}" install -y -q --no-install-recommends "$@" || {
    apt-get update -q
    without_starting_services apt-get "${lock_wait[@]}" install -y -q --no-install-recommends "$@"
  }
}

# Explains what to install by hand if this script cannot: without root, or on another distribution.
explain_missing() {
  if is_debian; then
    echo "Missing packages: $*"
    echo "As root: apt-get update && apt-get install --no-install-recommends $*"
  else
    echo "This is $(system_name), and this script installs packages on Debian 12 only. Install them by hand."
    echo "The Debian packages with the missing programs: $*"
    echo "Its programs: $(missing_programs)"
  fi
  echo "Then run this again."
}

# install_or_explain NAME...: installs the packages, or explains how.
install_or_explain() {
  if [ "$(id -u)" != 0 ] || ! is_debian; then
    explain_missing "$@"
    return 1
  fi
  # One installation at a time: two would remove each other's policy-rc.d.
  exec 7>/run/paddock-setup.lock
  flock 7
  apt_install "$@"
  exec 7>&-
  # Only the program is needed. Paddock starts its own server, and this one must not listen after a reboot.
  if [[ " $* " == *" nats-server "* ]] && command -v systemctl >/dev/null; then
    systemctl disable --quiet nats-server || true
  fi
  hash -r
}

install_packages() {
  local missing
  mapfile -t missing < <(missing_packages)
  [ ${#missing[@]} -eq 0 ] && return
  install_or_explain "${missing[@]}"
  note "installed ${#missing[@]} and their dependencies"
  mapfile -t missing < <(missing_packages)
  [ ${#missing[@]} -eq 0 ] || {
    echo "Still missing after the installation: ${missing[*]}"
    [[ " ${missing[*]} " != *" rustc-web "* ]] || explain_rust
    return 1
  }
}
