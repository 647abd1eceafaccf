# SPDX-License-Identifier: Apache-2.0
# A DAX device: create, put, get, check; several processes at once, one killed; what is refused.
# shellcheck source=tests/lab/guest/common.sh
. /common.sh
make_namespace devdax
pool=/dev/dax0.0
[ -c $pool ] || fail "no $pool"
refused 4 "not a memkv pool" memkv pool info $pool
run memkv pool create $pool --name lab --dry-run
refused 4 "not a memkv pool" memkv pool info $pool
run memkv pool create $pool --name lab
medium_is $pool dax
refused 3 "holds a pool already" memkv pool create $pool
put_blocks $pool one 1 4
put_blocks $pool kept 5 6 --durable
get_blocks $pool one 1 4
get_blocks $pool kept 5 6
run memkv pool check $pool
pass "create, 6 puts (2 of them durable), exact gets, check"

# start_users: two agents that go on for longer than is needed, with less than fits
start_users() {
	memkv replay $pool --generate sessions=400,turns=6 --agents 2 --block-size 16K --live >/tmp/replay 2>&1 &
	replay=$!
	until memkv pool info $pool | grep -q 'attached [1-9]'; do
		kill -0 $replay || { cat /tmp/replay; fail "the replay does not run"; }
	done
}

start_users
refused 5 "in use" memkv pool destroy $pool --yes
put_blocks $pool beside 7 7 --durable
killall -9 memkv
wait $replay
get_blocks $pool beside 7 7
memkv pool info $pool | grep -q 'attached 0' || fail "the dead still count as attached"
run memkv pool check $pool
pass "three processes at once, a destroy refused; two killed with -9 in the middle: their slots are free at once, check finds nothing bad"

run memkv replay $pool --generate sessions=6,turns=3,new=2,seed=9 --agents 3 --kill 1 --block-size 256K --verify
grep -q 'acknowledged *[1-9]' /tmp/run.out || fail "the replay put nothing: $(cat /tmp/run.out)"
note "replay: $(grep -E 'acknowledged|wrong' /tmp/run.out | tr -s ' \n' ' ')"
pass "three agents, one killed half-way: every acknowledged block is there, no wrong byte"

start_users
usleep 200000 # where processors are not emulated the users take a second altogether
run ndctl disable-namespace namespace0.0
ended=0
wait $replay || ended=$?
note "a replay whose device was taken away ended with $ended: $(grep memkv: /tmp/replay | head -n 1)"
if [ $ended = 0 ] || [ $ended -ge 128 ] || grep -qi signal /tmp/replay; then
	cat /tmp/replay
	fail "it should end with an error, and not by a signal"
fi
run ndctl enable-namespace namespace0.0
mdev -s
get_blocks $pool beside 7 7
run memkv pool check $pool
pass "the device taken away under its users, and back: errors, no signal; the blocks are there"
run memkv pool destroy $pool --yes
refused 4 "not a memkv pool" memkv pool info $pool
pass "destroyed: the device looks empty"
