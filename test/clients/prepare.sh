#!/usr/bin/env bash
# Generates the Python and Go clients from proto/ with buf into DIRECTORY, with tools from their own package registries, which are
# kept in the cache: prepare.sh DIRECTORY. Prints how to run each, one line per language.
set -euo pipefail
target=$1
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/paddock/clients
export PATH="$here/../../node_modules/.bin:$PATH:/usr/local/go/bin"
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9

if ! command -v go >/dev/null || ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
  (
    cd "$here/../.."
    # shellcheck source=../../deploy/lib/toolchain.sh
    . deploy/lib/toolchain.sh
    # shellcheck source=../../deploy/lib/packages.sh
    . deploy/lib/packages.sh
    install_or_explain golang-go python3-venv
  ) >&2
fi
if ! cmp -s "$here/python/requirements.txt" "$cache/python/requirements.txt"; then
  rm -rf "$cache/python"
  python3 -m venv "$cache/python" >&2
  "$cache/python/bin/pip" install --quiet --disable-pip-version-check -r "$here/python/requirements.txt" >&2
  cp "$here/python/requirements.txt" "$cache/python/"
fi
go_plugins=(google.golang.org/protobuf/cmd/protoc-gen-go@v1.31.0 google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.3.0)
if [ "$(cat "$cache/go/plugins" 2>/dev/null)" != "${go_plugins[*]}" ]; then
  mkdir -p "$cache/go"
  for plugin in "${go_plugins[@]}"; do GOBIN=$cache/go go install "$plugin" >&2; done
  echo "${go_plugins[*]}" >"$cache/go/plugins"
fi
bash "$here/../../proto/deps.sh"

cp -r "$here/python" "$here/go" "$target/"
(cd "$here/python" && PATH="$cache/python/bin:$PATH" buf generate -o "$target/python" --path ../../../proto/paddock/v1 >&2)
(cd "$here/go" && PATH="$cache/go:$PATH" buf generate -o "$target/go" --path ../../../proto/paddock/v1 >&2)
(cd "$target/go" && go build -o client . >&2)
echo "env PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$target/python/gen $cache/python/bin/python $target/python/client.py"
echo "$target/go/client"
