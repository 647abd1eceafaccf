#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The list of system calls on the hot paths.  Runs calls.c under strace and looks at what lies between its lines:
#   gets, ranges, unaligned gets, puts - nothing but I/O on the medium; a get at most 1.1 calls, a put at most 6
#                                        (payload, header, here a segment page as well: each sent and awaited)
#   matches                            - nothing at all
# usage: calls.sh CALLS [ARGUMENT ...]
set -u
command -v strace >/dev/null || { echo "SKIPPED: strace is not installed (apt-get install strace)"; exit 77; }
"$@" --count 1 >/dev/null
[ $? -eq 77 ] && { echo "SKIPPED: the program itself says so"; exit 77; }
count=200
log=$(mktemp "${MEMKV_TEST_DIR:-.}/memkv-calls-strace.XXXXXX") || exit 1
trap 'rm -f "$log"' EXIT
strace -f -o "$log" "$@" --count $count
status=$?
if [ $status -ne 0 ]; then
	grep -q 'ptrace' "$log" && { echo "SKIPPED: strace may not trace here"; exit 77; }
	exit $status
fi
awk -v count=$count '
/ write\(-1, "/ {
	split($0, part, "\"")
	if (part[2] == "end") { name = ""; next }
	name = part[2]; order[++names] = name; next
}
name != "" && match($0, /[a-z_0-9]+\(/) {
	call = substr($0, RSTART, RLENGTH - 1)
	made[name, call]++; calls[call] = 1; total[name]++
}
END {
	if (names != 7) { print "FAILED: " names " stretches were seen instead of 7"; exit 1 }
	for (i = 1; i <= names; i++) {
		n = order[i]; line = ""
		for (c in calls) if ((n, c) in made) {
			line = line sprintf(" %s %.2f", c, made[n, c] / count)
			if (c !~ /^(io_uring_enter|preadv|pwritev)$/) { print "FAILED: " n ": " made[n, c] " x " c; bad = 1 }
		}
		print n ": system calls a call:" (line == "" ? " none" : line)
		limit = n == "matches" || n == "keeps" ? 0 : n == "puts" ? 6 : 1.1
		if (n == "ranges") limit = 2.1	# the header first, then the chunk
		if (total[n] > limit * count) { print "FAILED: " n ": " total[n] " system calls in " count " calls"; bad = 1 }
	}
	exit bad
}' "$log"
