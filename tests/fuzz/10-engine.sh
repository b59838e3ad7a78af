#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# tests/fuzz/10-engine.sh [--build DIR] [SECONDS]: libFuzzer over the engines, from the corpus that is kept here. In
# `make test` the corpus and a few thousand runs more. With SECONDS (make fuzz) new inputs are merged into the
# corpus; one that breaks an invariant is left in DIR/tests/fuzz as crash-*.
set -eu
cd "$(dirname "$0")/../.."
build=${TOE_BUILD:-build}
[ "${1:-}" = --build ] && { build=$2; shift 2; }
bin=$build/tests/fuzz/engine
[ -x "$bin" ] || { echo "SKIP: not built: $bin"; exit 77; }
found=$(mktemp -d /tmp/toet-fuzz.XXXXXX)
trap 'rm -rf "$found"' EXIT
opts=(-max_len=2048 -timeout=10 -artifact_prefix="$build/tests/fuzz/" -verbosity=0 -error_exitcode=1)

if [ $# -gt 0 ]; then
	"$bin" "${opts[@]}" -max_total_time="$1" "$found" tests/fuzz/corpus
	"$bin" -merge=1 -verbosity=0 tests/fuzz/corpus "$found"
	exit
fi
"$bin" "${opts[@]}" -runs=4000 "$found" tests/fuzz/corpus
