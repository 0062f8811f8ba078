#!/usr/bin/env bash
# Generates libs/protocol/src/gen from the protos. `generate.sh DIR` writes to DIR instead.
set -euo pipefail
cd "$(dirname "$0")"
bash deps.sh
export PATH="$PWD/../node_modules/.bin:$PATH"
if [ $# -gt 0 ]; then
  sed "s|out: .*|out: $1|" buf.gen.yaml | buf generate --template /dev/stdin
else
  buf generate
fi
