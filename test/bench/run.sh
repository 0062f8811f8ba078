#!/usr/bin/env bash
# npm run bench -- NAME…: runs test/bench/NAME.bench.ts, one after the other; without a name, lists them.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH="$PWD/node_modules/.bin:$PATH"
if [ $# -eq 0 ]; then
  echo "usage: npm run bench -- NAME…   where NAME is one of:"
  for file in test/bench/*.bench.ts; do basename "$file" .bench.ts | sed 's/^/  /'; done
  exit 2
fi
bash deploy/setup.sh
status=0
for name in "$@"; do
  if [ ! -f "test/bench/$name.bench.ts" ]; then
    echo "no such bench: $name" >&2
    exit 2
  fi
  node "test/bench/$name.bench.ts" || status=1
done
exit $status
