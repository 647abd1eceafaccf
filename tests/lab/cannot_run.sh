#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Where the lab cannot run it says why and ends with 77, and a wrong call ends with 2; nothing is installed for that.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir -p "$folder/build" "$folder/bin"
touch "$folder/build/memkv" && chmod +x "$folder/build/memkv"

# fake NAME TEXT...: a program that goes before this machine's
fake() {
	printf '#!/bin/sh\n%s\n' "${*:2}" >"$folder/bin/$1"
	chmod +x "$folder/bin/$1"
}

# ends STATUS TEXT ARGUMENT...: lab.sh with these must end so, and say so
ends() {
	local status=0
	PATH=$folder/bin:$PATH bash "$here/lab.sh" "${@:3}" >"$folder/said" 2>&1 || status=$?
	if [ $status != "$1" ] || ! grep -q "$2" "$folder/said"; then
		echo "FAIL: lab.sh ${*:3}: status $status instead of $1, or not '$2':"
		cat "$folder/said"
		exit 1
	fi
	echo "PASS: status $status: $(grep -m 1 "$2" "$folder/said")"
}

build="--build $folder/build"
# shellcheck disable=SC2086 # words
{
	ends 2 "no scenario nosuch; there are: .*two_hosts_share.*fabric_keys" $build nosuch
	ends 2 "usage: " $build --nosuch
	ends 2 "no memkv in $folder" --build "$folder"
	fake uname echo s390x
	ends 77 "^SKIP: .* x86-64" $build
	rm "$folder/bin/uname"
	fake sed 'echo 1000000'
	ends 77 "^SKIP: 976 MiB of memory are free, the guests need 1536" $build devdax
	ends 77 "^SKIP: 976 MiB of memory are free, the guests need 2304" $build
	rm "$folder/bin/sed"
	fake dpkg-query 'case "$*" in *ndctl*) exit 1;; esac; echo installed'
	ends 77 "^SKIP: these packages are missing: ndctl; tests/lab/lab.sh as root installs them" $build --no-install
	fake apt-get 'exit 100'
	fake id 'echo 0'
	ends 77 "^SKIP: these packages cannot be installed: ndctl (see " $build
	fake dpkg-query 'echo installed'
	fake apt-cache 'exit 0'
	ends 77 "^SKIP: no package linux-image-amd64 is known here" $build
	fake apt-cache 'echo "  Depends: linux-image-6.1.0-0-amd64"'
	ends 77 "^SKIP: linux-image-6.1.0-0-amd64 cannot be downloaded" $build
}
