#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs shellcheck over every shell script of the tree: by name, or by its first line.
set -euo pipefail
cd "$(dirname "$0")/../.."

command -v shellcheck >/dev/null || {
	echo "skipped: no shellcheck"
	exit 77
}
scripts=()
while IFS= read -r -d '' file; do
	case $file in
	*.sh | *.bash) scripts+=("$file") ;;
	*) head -c 64 "$file" | head -n 1 | grep -aqE '^#!.*\b(ba|da)?sh\b' && scripts+=("$file") ;;
	esac
done < <(find . -type f -not -path './.git/*' -not -path './build*' -print0 | sort -z)
[ ${#scripts[@]} -ge 5 ] || {
	echo "only ${#scripts[@]} scripts were found: the search is wrong"
	exit 1
}
shellcheck --shell=bash --severity=style "${scripts[@]}"
echo "${#scripts[@]} scripts: ${scripts[*]}"
