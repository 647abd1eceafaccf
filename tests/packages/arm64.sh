#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# arm64.sh SOURCE NATIVE-CLI DIR: builds memkv for ARM64 in DIR, runs unit and golden tests, the house rules (exports) and
# short forms of the corruption and thread tests under qemu-user, and lets both processors read and continue each other's
# pools.  77: no cross compiler, no qemu-user, or no ARM64 libraries to be had.
set -euo pipefail
source=$1 native=$2 dir=$3
here=$source/.packaging/arm64
# shellcheck source=tests/packages/verdict.sh
source "$(dirname "$0")/verdict.sh"

command -v aarch64-linux-gnu-gcc >/dev/null || skip "no ARM64 cross compiler; install gcc-aarch64-linux-gnu"
command -v qemu-aarch64-static >/dev/null || skip "no ARM64 emulator; install qemu-user-static"
mkdir -p "$dir"
"$here/sysroot.sh" "$dir/sysroot" || skip "no ARM64 libraries"
told "libraries"

{ cmake -S "$source" -B "$dir/build" -G Ninja -DMEMKV_WERROR=ON -DCMAKE_TOOLCHAIN_FILE="$here/toolchain.cmake" \
	-DMEMKV_SYSROOT="$dir/sysroot/root" && ninja -C "$dir/build"; } >"$dir/build.log" 2>&1 || {
	tail -n 40 "$dir/build.log"
	fail "the cross build"
}
file=$(aarch64-linux-gnu-readelf -h "$dir/build/libmemkv.so" | grep Machine)
[[ $file = *AArch64 ]] || fail "the library is for $file"
told "build, warnings are errors"

ctest --test-dir "$dir/build" -j "$(nproc)" -L short -R '^(unit|golden|tidy|abi)/' --output-on-failure --no-tests=error \
	>"$dir/ctest.log" || {
	cat "$dir/ctest.log"
	fail "tests under qemu-user"
}
told "$(grep 'tests passed' "$dir/ctest.log")"

emulated=(qemu-aarch64-static -cpu cortex-a72 -L "$dir/sysroot/root")
"${emulated[@]}" "$dir/build/tests/flip/flip" --seeds 1-20 >"$dir/flip.log" || fail "flip: $(cat "$dir/flip.log")"
"${emulated[@]}" "$dir/build/tests/process/process_hammer" --seconds 3 >"$dir/hammer.log" 2>&1 ||
	fail "hammer: $(cat "$dir/hammer.log")"
told "corruption (20 seeds) and threads"

# -- each other's pools --------------------------------------------------------------------------------------------
scratch=$(mktemp -d "${TMPDIR:-/var/tmp}/memkv-arm64-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
x86() { "$native" "$@"; }
arm() { "${emulated[@]}" "$dir/build/memkv" "$@"; }

sizes=(1 15 4095 4096 4097 65536 100001 262144)
made=0
make_blocks() { # WHO PREFIX: puts one block of each size
	local size
	for size in "${sizes[@]}"; do
		head -c "$size" /dev/urandom >"$scratch/$2-$size"
		"$1" put "$pool" --name "$2-$size" "$scratch/$2-$size" || fail "$1 put of $2-$size"
		made=$((made + 1))
	done
}
read_blocks() { # WHO PREFIX
	local size
	for size in "${sizes[@]}"; do
		"$1" get "$pool" --name "$2-$size" -o "$scratch/back" || fail "$1 get of $2-$size"
		cmp "$scratch/back" "$scratch/$2-$size" || fail "$1 read other bytes from $2-$size"
	done
}
check_pool() { # WHO
	"$1" pool check "$pool" --json >"$scratch/check" || fail "$1 pool check: $(cat "$scratch/check")"
	grep -q "\"blocks\": *$made\\b" "$scratch/check" || fail "$1 pool check wants $made blocks: $(cat "$scratch/check")"
}

for where in "$scratch" /dev/shm; do # a file with direct I/O where there is, and memory
	for first in x86 arm; do
		second=$([ $first = x86 ] && echo arm || echo x86)
		pool=$(mktemp -u "$where/memkv-arm64-XXXXXX.pool")
		made=0
		"$first" pool create "$pool" --size 64M >/dev/null
		make_blocks "$first" "$first"
		read_blocks "$second" "$first"
		check_pool "$second"
		make_blocks "$second" "$second" # continues the segment that the other left
		read_blocks "$first" "$second"
		read_blocks "$first" "$first"
		check_pool "$first"
		"$first" rm "$pool" --name "$first-4096" || fail "$first rm"
		made=$((made - 1))
		! "$second" get "$pool" --name "$first-4096" >/dev/null 2>&1 || fail "$second found what $first removed"
		check_pool "$second"
		rm -f "$pool"
	done
done
told "pools made on x86-64 and on ARM64, read and continued on the other: ${#sizes[@]} sizes, same bytes"
