# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# How the package tests end, and how long each step took; sourced by them.
started=$SECONDS

skip() {
	echo "skipped: $*"
	exit 77
}
fail() {
	echo "FAILED: $*"
	exit 1
}
told() {
	printf '%4d s  %s\n' $((SECONDS - started)) "$*"
}
