#!/usr/bin/env bash
# Checks that the protocol is well formed (buf lint), that it breaks no client of the accepted one (buf breaking against
# accepted-protocol.binpb), and that the generated code in the repository is current.
#
# --accept makes the current protocol the accepted one. Do that to keep an addition from now on, or for an intended break, and
# state which in the commit.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
root=$PWD
PATH="$root/node_modules/.bin:$PATH"
accepted=$root/test/contract/accepted-protocol.binpb

# Generation runs in a copy, so that the check changes nothing.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
mkdir -p "$copy/libs/protocol"
cp -r proto package.json package-lock.json "$copy/"
cp libs/protocol/package.json "$copy/libs/protocol/"
ln -s "$root/node_modules" "$copy/node_modules"
(cd "$copy" && bash proto/generate.sh) >"$copy/generate.log" 2>&1 || {
  cat "$copy/generate.log"
  exit 1
}

if [ "${1:-}" = --accept ]; then
  (cd "$copy/proto" && buf build --exclude-source-info --output "$accepted")
  exit
fi

failures=0
complain() {
  echo "$1"
  failures=1
}

(cd "$copy/proto" && buf lint) || complain "buf lint: the protocol breaks the rules in proto/buf.yaml"
if [ -f "$accepted" ]; then
  # As images: a workspace of several modules cannot be compared with one image.
  (cd "$copy/proto" && buf build --output "$copy/today.binpb" &&
    buf breaking "$copy/today.binpb" --against "$accepted" --config buf.yaml) ||
    complain "buf breaking: clients of the accepted protocol would break; if that is intended: bash test/contract/check-protocol.sh --accept"
else
  complain "there is no accepted protocol to compare with: bash test/contract/check-protocol.sh --accept"
fi
diff -r -q "$copy/libs/protocol/src/gen" libs/protocol/src/gen ||
  complain "the generated code is not current: npm run proto"
exit $failures
