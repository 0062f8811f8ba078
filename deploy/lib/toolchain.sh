# The steps after the system packages. Each installs only what is missing. Sourced, with the checkout as working directory.

# True if node_modules has the versions of package-lock.json, by npm's own record of the installation.
npm_is_current() {
  [ -x node_modules/.bin/node ] && [ -f node_modules/.package-lock.json ] || return 1
  [ package-lock.json -ot node_modules/.paddock-checked ] && return 0
  node_modules/.bin/node -e '
    const { readFileSync } = require("node:fs");
    const packages = (file) => JSON.parse(readFileSync(file, "utf8")).packages;
    const [want, have] = [packages("package-lock.json"), packages("node_modules/.package-lock.json")];
    const differs = Object.entries(want).some(([path, entry]) =>
      path.includes("node_modules/") && !entry.optional && have[path]?.version !== entry.version);
    process.exit(differs ? 1 : 0);' || return 1
  touch node_modules/.paddock-checked
}

install_npm_packages() {
  npm_is_current && return
  command -v npm >/dev/null || {
    echo "npm is missing; install Node 20 or later with npm"
    return 1
  }
  # "npm ci" refuses a lock file without entries for the binaries of other platforms. npm writes such a file when the
  # registry does not have them. "npm install" then installs the same versions, which is checked below.
  npm ci --no-audit --no-fund --loglevel=error ||
    npm install --no-save --no-audit --no-fund --loglevel=error
  npm_is_current || {
    echo "node_modules differs from package-lock.json; run npm install and check its changes to the lock file"
    return 1
  }
  note "installed"
}

wanted_rust() { sed -n 's/^rust-version *= *"\(.*\)"/\1/p' services/agent/Cargo.toml; }

# True if the compiler is recent enough and clippy and rustfmt are installed.
rust_is_current() {
  local have
  have=$(rustc --version 2>/dev/null | cut -d' ' -f2) || return 1
  [ "$(printf '%s\n%s\n' "$(wanted_rust)" "$have" | sort -V | head -n 1)" = "$(wanted_rust)" ] || return 1
  cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1
}

explain_rust() {
  echo "Rust $(wanted_rust) or later with clippy and rustfmt is needed; found: $(rustc --version 2>&1 | head -n 1) at $(command -v rustc || echo nowhere)"
  echo "Debian 12 has it in its security archive (rustc-web). With rustup: rustup update && rustup component add clippy rustfmt."
}

copy_protos() {
  local before
  before=$(cat proto/vendor/.stamp 2>/dev/null || true)
  bash proto/deps.sh
  [ "$before" = "$(cat proto/vendor/.stamp)" ] || note "copied"
}

# The command line uses its sources while one is newer than the bundle.
bundle_command_line() {
  local bundle=services/cli/dist/main.js
  if [ -f "$bundle" ] &&
    [ -z "$(find services/cli/src deploy/bundle-command-line.ts libs package-lock.json -newer "$bundle" -type f -print -quit)" ]; then
    return
  fi
  node_modules/.bin/node deploy/bundle-command-line.ts
  note "bundled"
}

agent_binary=services/agent/target/x86_64-unknown-linux-gnu/release/paddock-agent

# Cargo needs a second or two to find that nothing changed. Setup runs before each test run, so it compares file times.
agent_is_current() {
  local changed
  [ -f "$agent_binary" ] || return 1
  changed=$(find services/agent/src services/agent/build.rs services/agent/Cargo.toml services/agent/Cargo.lock \
    services/agent/.cargo proto/paddock/agent -newer "$agent_binary" -print -quit)
  [ -z "$changed" ]
}

build_agent() {
  agent_is_current && return
  (cd services/agent && cargo build --release --locked --quiet)
  # Cargo does not rewrite the binary if its content stays the same.
  touch "$agent_binary"
  note "built"
}

build_guest() {
  local before after
  before=$(cat deploy/guest/out/.stamp 2>/dev/null || true)
  bash deploy/guest/build.sh
  after=$(cat deploy/guest/out/.stamp)
  [ "$before" = "$after" ] || note "built"
}
