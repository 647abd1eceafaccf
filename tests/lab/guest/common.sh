# SPDX-License-Identifier: Apache-2.0
# What scenarios share.  A scenario ends at its first failure.
export MEMKV_POOL_PATH=/tmp

note() { echo "LAB NOTE $*"; }
pass() { echo "LAB PASS $*"; }
skip() {
	echo "LAB SKIP $*"
	exit 77
}
fail() {
	echo "LAB FAIL $*"
	dmesg | tail -n 15
	exit 1
}

# run COMMAND...: must end well
run() {
	"$@" >/tmp/run.out 2>&1 || {
		local status=$?
		cat /tmp/run.out
		fail "status $status: $*"
	}
}

# refused STATUS TEXT COMMAND...: must end with that status and say so
refused() {
	local want=$1 text=$2 got=0
	shift 2
	"$@" >/tmp/run.out 2>&1 || got=$?
	if [ $got != "$want" ] || ! grep -q "$text" /tmp/run.out; then
		cat /tmp/run.out
		fail "status $got instead of $want, or not '$text': $*"
	fi
}

load() {
	local module
	for module in "$@"; do
		modprobe "$module" || fail "the module $module cannot be loaded"
	done
}

# pattern NUMBER: a block of 730 KB, as lab.sh makes them
pattern() { seq "$1" $(($1 + 120000)); }

# put_blocks POOL NAME FIRST LAST [OPTION...], get_blocks POOL NAME FIRST LAST [ADD]: pattern N+ADD under "NAME N"
put_blocks() {
	local pool=$1 name=$2 n=$3 last=$4
	shift 4
	while [ "$n" -le "$last" ]; do
		pattern "$n" >/tmp/block
		run memkv put "$pool" --name "$name $n" /tmp/block "$@"
		n=$((n + 1))
	done
}
# until a pool can be looked at, half a minute at most; what was said last is in /tmp/run.out
await_pool() {
	local tries=0
	until memkv pool info "$1" >/tmp/run.out 2>&1 || [ $tries = 300 ]; do
		usleep 100000
		tries=$((tries + 1))
	done
}
get_blocks() {
	local n=$3
	while [ "$n" -le "$4" ]; do
		pattern "$n" >/tmp/want
		run memkv get "$1" --name "$2 $n" -o /tmp/got
		cmp /tmp/want /tmp/got || fail "$1: wrong bytes in '$2 $n'"
		n=$((n + 1))
	done
}

# make_namespace MODE: the emulated NVDIMM as /dev/dax0.0 (devdax) or /dev/pmem0 (fsdax)
make_namespace() {
	load nfit nd_pmem
	[ "$1" = fsdax ] || load dax_pmem device_dax
	run ndctl create-namespace -m "$1" -f -e namespace0.0
	mdev -s
}

medium_is() {
	memkv pool info "$1" --json | grep -q "\"medium\": *\"$2\"" || fail "$1 is not used as $2: $(memkv pool info "$1" --json)"
}
