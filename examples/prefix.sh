#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A prompt in blocks, each under a key that depends on all before it: what a serving engine does, with the tool alone.
# Needs memkv in $PATH.
set -euo pipefail

pool=$(mktemp -u "${TMPDIR:-/var/tmp}/memkv-prefix-XXXXXX.pool")
trap 'rm -f "$pool"' EXIT
memkv pool create "$pool" --size 64M >/dev/null

# chain WORD...: the key of each block, a line each; a block's key is the hash of its parent's key and its own text
chain() {
	local parent=''
	for word in "$@"; do
		parent=$(printf '%s %s' "$parent" "$word" | sha256sum | cut -d' ' -f1)
		echo "$parent"
	done
}

# the first request computes everything, and stores it
for key in $(chain system tools question); do
	printf 'attention state of %s' "$key" | memkv put "$pool" "$key" --session first
done

# the second one shares three blocks of its four
mapfile -t keys < <(chain system tools question follow-up)
matched=$(memkv match "$pool" "${keys[@]}")
echo "$matched of ${#keys[@]} blocks are there"
for key in "${keys[@]:0:$matched}"; do
	memkv get "$pool" "$key" >/dev/null
done
