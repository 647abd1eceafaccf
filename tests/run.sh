#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The README's second command: installs what is missing, builds three times (plain, with the address and undefined
# behaviour sanitizers, with the thread sanitizer) and runs the everyday tests in each.  With --whole: the long ones too.
set -euo pipefail
cd "$(dirname "$0")/.."

bash .ci/setup --tests
jobs=$(nproc)
whole=0
[ "${1:-}" = --whole ] && whole=1

# build DIR LABELS EXTRA...: configure, build, run the tests that carry one of the labels
run() {
	local dir=$1 labels=$2
	shift 2
	echo "== $dir: $*"
	cmake -S . -B "$dir" -G Ninja -DMEMKV_WERROR=ON "$@" >"$dir.log" 2>&1 || { cat "$dir.log"; exit 1; }
	ninja -C "$dir" -j "$jobs" >>"$dir.log" 2>&1 || { tail -n 60 "$dir.log"; exit 1; }
	rm -f "$dir.log"
	ctest --test-dir "$dir" -L "$labels" --output-on-failure --no-tests=error
}

everyday='^(short|medium)$'
[ $whole = 1 ] && everyday='^(short|medium|long)$'
run build-asan "$everyday" -DMEMKV_SANITIZE=address,undefined -DMEMKV_TEST_BUILD=sanitized
run build-tsan '^threads$' -DMEMKV_SANITIZE=thread
run build "$everyday"
