#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The README's second command: installs what is missing, builds three times (plain, with the address and undefined
# behaviour sanitizers, with the thread sanitizer) and runs the everyday tests in each; then builds the Debian packages
# and for ARM64, and tests those; at last the short form of the lab, which installs QEMU and fetches a kernel, and where
# that cannot be says so and is left out.  With --whole: the long tests too.
set -euo pipefail
cd "$(dirname "$0")/.."

bash .ci/setup --tests
jobs=$(nproc)
whole=0
[ "${1:-}" = --whole ] && whole=1

# run DIR "CTEST SELECTION" CMAKE-OPTIONS...: configure, build, test
run() {
	local dir=$1 selection=$2
	shift 2
	echo "== $dir: ctest $selection"
	{ cmake -S . -B "$dir" -G Ninja -DMEMKV_WERROR=ON -DMEMKV_TESTS=ON "$@" && ninja -C "$dir" -j "$jobs"; } >"$dir.log" 2>&1 || {
		tail -n 60 "$dir.log"
		exit 1
	}
	rm -f "$dir.log"
	# shellcheck disable=SC2086 # the selection is words
	ctest --test-dir "$dir" $selection --output-on-failure --no-tests=error
}

everyday='-L ^(short|medium)$'
sanitized='-L ^short$'
threads='-R ^process/(hammer|four|pin_flood_threads)$'
if [ $whole = 1 ]; then
	everyday='-LE ^(packages|lab)$' sanitized='' threads='-R ^process/(hammer|four)'
fi
run build-asan "$sanitized" -DMEMKV_SANITIZE=address,undefined
run build-tsan "$threads" -DMEMKV_SANITIZE=thread
run build "$everyday"
echo "== packages: Debian's, and ARM64"
ctest --test-dir build -L '^packages$' -j "$jobs" --output-on-failure --no-tests=error
echo "== lab: guests under QEMU, the short form"
lab=0
bash tests/lab/lab.sh --build build --short || lab=$?
[ $lab = 0 ] || [ $lab = 77 ] || exit $lab
[ $whole = 0 ] || ctest --test-dir build -L '^lab$' --output-on-failure
