# System packages: which program each is needed for, and how the missing ones are installed. Sourced.

# program:package. A package is looked for by its program, so that other distributions and hand-built
# installations count too.
needed_programs=(
  qemu-system-x86_64:qemu-system-x86 # runs the guests
  nats-server:nats-server            # the bus, for development and tests
  mksquashfs:squashfs-tools          # images
  sqfstar:squashfs-tools
  mke2fs:e2fsprogs # writable disks
  mmdebstrap:mmdebstrap # the base image
  ip:iproute2           # network
  tc:iproute2
  nft:nftables
  setpriv:util-linux # drops privileges before QEMU
  prlimit:util-linux
  lz4:lz4 # unpacks the guest kernel
  zstd:zstd
  xz:xz-utils
  depmod:kmod
  cc:gcc # links the agent
)
# A static link needs libc.a, which no program shows.
needed_files=(/usr/lib/x86_64-linux-gnu/libc.a:libc6-dev)

missing_packages() {
  local entry
  {
    for entry in "${needed_programs[@]}"; do
      command -v "${entry%%:*}" >/dev/null || echo "${entry#*:}"
    done
    for entry in "${needed_files[@]}"; do
      [ -e "${entry%%:*}" ] || [ -e /usr/lib/libc.a ] || [ -e /usr/lib64/libc.a ] || echo "${entry#*:}"
    done
  } | sort -u
}

is_debian_root() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

# Packages start their services on installation unless policy-rc.d forbids it (Debian policy 9.3.3).
with_no_services_started() {
  local policy=/usr/sbin/policy-rc.d
  if [ -e "$policy" ]; then
    "$@"
    return
  fi
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  "$@"
  rm -f "$policy"
  trap - EXIT
}

apt_install() {
  export DEBIAN_FRONTEND=noninteractive
  # Lists may be absent on a fresh machine, or too old to name files that still exist.
  with_no_services_started apt-get install -y -q --no-install-recommends "$@" || {
    apt-get update -q
    with_no_services_started apt-get install -y -q --no-install-recommends "$@"
  }
}

install_packages() {
  local missing
  mapfile -t missing < <(missing_packages)
  [ ${#missing[@]} -eq 0 ] && return
  if ! is_debian_root; then
    echo "Missing: ${missing[*]}"
    echo "On Debian or Ubuntu: sudo apt-get install --no-install-recommends ${missing[*]}"
    echo "Elsewhere install what provides these programs, then run this again."
    return 1
  fi
  apt_install "${missing[@]}"
  # Installed for the program alone: Paddock starts its own, and nothing may listen after a reboot.
  if [[ " ${missing[*]} " == *" nats-server "* ]] && command -v systemctl >/dev/null; then
    systemctl disable --quiet nats-server || true
  fi
  mapfile -t missing < <(missing_packages)
  [ ${#missing[@]} -eq 0 ] || {
    echo "Still missing after the installation: ${missing[*]}"
    return 1
  }
  note "installed"
}
