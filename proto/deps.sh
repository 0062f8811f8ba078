#!/usr/bin/env bash
# Copies the third-party protos that Paddock's import to proto/vendor (not committed), from pinned packages:
# buf/validate from the crate prost-protovalidate-types, google/rpc from the npm package google-proto-files.
set -euo pipefail
cd "$(dirname "$0")"
export PATH="$PATH:$HOME/.cargo/bin"
stamp=$(cat deps/Cargo.lock ../package-lock.json | sha256sum)
[ -f vendor/.stamp ] && [ "$(cat vendor/.stamp)" = "$stamp" ] && exit 0
cargo fetch --quiet --locked --manifest-path deps/Cargo.toml
crate=$(cargo metadata --quiet --locked --format-version 1 --manifest-path deps/Cargo.toml |
  ../node_modules/.bin/node -e '
    const { packages } = JSON.parse(require("fs").readFileSync(0, "utf8"));
    console.log(require("path").dirname(packages.find((p) => p.name === "prost-protovalidate-types").manifest_path));')
rm -rf vendor && mkdir -p vendor/buf/validate vendor/google/rpc
cp "$crate/proto/buf/validate/validate.proto" vendor/buf/validate/
cp ../node_modules/google-proto-files/google/rpc/{status,error_details,code}.proto vendor/google/rpc/
chmod -R u+w vendor
printf %s "$stamp" >vendor/.stamp
