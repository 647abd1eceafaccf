#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The README's first command: installs what is missing, builds, makes a file pool, and replays a request trace with
# three agents, one of which is killed half-way.  Leaves build/ behind, and nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."

bash .ci/setup
if ! { cmake -S . -B build -G Ninja -DMEMKV_TESTS=OFF && ninja -C build; } >build.log 2>&1; then
	tail -n 30 build.log >&2
	exit 1
fi
rm -f build.log

pool=$(mktemp -u "${TMPDIR:-/var/tmp}/memkv-demo-XXXXXX.pool")
trap 'rm -f "$pool"' EXIT
memkv=build/memkv

say() {
	printf '\n\033[1m$ %s\033[0m\n' "$*"
	"$@"
}

say $memkv pool create "$pool" --name demo --size 1G
say $memkv replay "$pool" --generate --agents 3 --kill 1 --block-size 512K
say $memkv pool check "$pool"
printf 'the system prompt of everybody' | say $memkv put "$pool" --name prefix --class shared
say $memkv stat "$pool" --name prefix
