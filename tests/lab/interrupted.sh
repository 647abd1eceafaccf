#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A lab that is interrupted, stopped or killed leaves no guest behind.  interrupted.sh BUILD
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$1
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# those of this build folder's lab
guests() { pgrep -c -f "^qemu-system-x86_64 .*$build/lab/initramfs" || true; }

# wait_for none|some
wait_for() {
	local tries=0 now
	while now=$(guests) && if [ "$1" = none ]; then [ "$now" != 0 ]; else [ "$now" = 0 ]; fi; do
		[ $tries -lt 300 ] || return 1
		sleep 0.1
		tries=$((tries + 1))
	done
}

[ "$(guests)" = 0 ] || { echo "SKIP: another lab is running" && exit 77; }
for scenario in nvmet_tcp buffered_read; do
	for signal in INT TERM KILL; do
		status=0
		# a process group of its own, as a terminal gives: SIGINT reaches all of it, the others lab.sh only
		setsid env --default-signal=INT "$here/lab.sh" --build "$build" --no-install "$scenario" >"$log" 2>&1 &
		lab=$!
		if ! wait_for some; then
			wait $lab || status=$?
			cat "$log"
			[ $status != 77 ] || exit 77
			echo "FAIL: no guest of $scenario came up"
			exit 1
		fi
		if [ $signal = INT ]; then kill -INT -- -$lab; else kill -$signal $lab; fi
		wait $lab 2>/dev/null || status=$?
		if [ $signal = INT ]; then want=130; else want=$((128 + $(kill -l $signal))); fi
		[ $status = $want ] || { echo "FAIL: after SIG$signal $scenario ended with $status" && exit 1; }
		wait_for none || { echo "FAIL: after SIG$signal to $scenario there are $(guests) guests" && exit 1; }
		echo "PASS: $scenario, SIG$signal: status $status, no guest is left"
	done
done
