#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Draws examples/replay.svg anew: a replay with three agents of which one is killed, recorded as it runs.
# Needs memkv in $PATH, or built in build/.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export PATH=$here/../build:$PATH

scratch=$(mktemp -d "${TMPDIR:-/var/tmp}/memkv-record-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
python3 "$here/record.py" --out "${1:-$here/replay.svg}" --columns 96 --rows 30 -- \
	'memkv pool create demo.pool --size 1G' \
	'memkv replay demo.pool --generate --agents 3 --kill 1 --block-size 512K' \
	'memkv pool check demo.pool'
