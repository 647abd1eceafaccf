# SPDX-License-Identifier: Apache-2.0
# A pool on two namespaces of an NVMe/TCP target, which takes one away and gives it back, under a writer and a reader.
# shellcheck source=tests/lab/guest/common.sh
. /common.sh
# shellcheck source=tests/lab/guest/target.sh
. /target.sh
command -v lab_hand >/dev/null || skip "lab_hand was not built (the tests were left out)"
memkv help pool grow >/dev/null 2>&1 || skip "this memkv has no pools of several namespaces"
BLOCKS=120 MORE=60
ANSWER=120 # seconds in which a lost namespace is noticed, and found again

load virtio_pci
ip link set lo up
load nvmet_tcp nvme_tcp
run modprobe brd rd_nr=2 rd_size=65536
target_make
second=/sys/kernel/config/nvmet/subsystems/$NQN/namespaces/2
mkdir "$second"
echo /dev/ram1 >"$second/device_path"
echo 1 >"$second/enable" || fail "the target has no second namespace"
target_port 1 tcp 127.0.0.1
host_connect tcp 127.0.0.1
home=$device
there() { # yes|no: does the kernel show the second namespace?  sets other, its device, whose name need not be the same again
	local tries=0 is='' shown
	while [ "$is" != "$1" ]; do
		[ $tries -lt $((ANSWER * 5)) ] || fail "the second namespace: $is, not $1"
		is=no
		for shown in /sys/class/block/nvme*n*; do
			[ "$(cat "$shown/nsid" 2>/dev/null)" = 2 ] && [ "$(cat "$shown/size")" != 0 ] && is=yes other=/dev/${shown##*/}
		done
		tries=$((tries + 1))
		usleep 200000
	done
	mdev -s
}
there yes
run memkv pool create "$home" --max-block 512K
run memkv pool grow "$home" "$other"

# hands 1 (writer, by NVMe passthrough) and 2 (reader, by block I/O); tell NUMBER WORDS..., ask NUMBER WORDS...: sets answer
mkfifo /tmp/ask1 /tmp/ask2 /tmp/answer1 /tmp/answer2
MEMKV_PASSTHROUGH=all lab_hand pool "$home" rw </tmp/ask1 >/tmp/answer1 &
writer=$!
exec 3>/tmp/ask1 4</tmp/answer1
lab_hand pool "$home" live </tmp/ask2 >/tmp/answer2 &
reader=$!
exec 5>/tmp/ask2 6</tmp/answer2
tell() {
	local number=$1
	shift
	if [ "$number" = 1 ]; then echo "$*" >&3; else echo "$*" >&5; fi
}
hear() {
	if [ "$1" = 1 ]; then read -r answer <&4; else read -r answer <&6; fi || fail "hand $1 is gone"
}
ask() {
	tell "$@"
	hear "$1"
}
for number in 1 2; do
	hear $number
	[ "$answer" = open ] || fail "hand $number: $answer"
done
# put_all FIRST COUNT: in the moment of a loss a put may be refused, and is put again
refusals=0
put_all() {
	local seed=$1 tries
	while [ "$seed" -lt $(($1 + $2)) ]; do
		tries=0
		ask 1 "put $seed 1"
		until [ "${answer%% *}" = ok ] || [ "${answer%% *}" = EXISTS ]; do
			case $answer in EIO* | ENOLINK* | ENODEV* | UNKNOWN* | FAILED* | DEGRADED*) ;; *) fail "put $seed: $answer" ;; esac
			tries=$((tries + 1)) refusals=$((refusals + 1))
			[ $tries -lt $ANSWER ] || fail "put $seed is refused again and again: $answer"
			sleep 1
			ask 1 "put $seed 1"
		done
		seed=$((seed + 1))
	done
}
# look NUMBER FIRST COUNT: sets hits; wrong bytes fail
look() {
	ask "$1" "check $2 $3"
	hits=${answer%% *}
	[ "$(echo "$answer" | cut -d ' ' -f 3)" = 0 ] || fail "hand $1: wrong bytes: $answer"
}
all_there() { # NUMBER FIRST COUNT, in some time
	local until=$(($(date +%s) + ANSWER))
	look "$@"
	while [ "$hits" != "$3" ]; do
		[ "$(date +%s)" -lt $until ] || fail "hand $1: $hits of $3 blocks from $2 on are there"
		sleep 1
		look "$@"
	done
}

put_all 1 $BLOCKS
for number in 1 2; do
	all_there $number 1 $BLOCKS
done
echo 0 >"$second/enable"
there no
pass "a pool on two namespaces: $BLOCKS blocks, exact in two processes; one is taken away"
for number in 1 2; do
	look $number 1 $BLOCKS
	if [ "$hits" = 0 ] || [ "$hits" = $BLOCKS ]; then
		fail "hand $number: $hits of $BLOCKS blocks are there without a namespace"
	fi
	note "hand $number: $hits of $BLOCKS blocks are there, the others are misses"
done
put_all 1001 $MORE
all_there 1 1001 $MORE
all_there 2 1001 $MORE
pass "its blocks are misses, the others exact; $MORE puts go on, $refusals of them after a refusal"
echo 1 >"$second/enable"
there yes
note "it is back as $other"
for number in 1 2; do
	all_there $number 1 $BLOCKS
	all_there $number 1001 $MORE
done
put_all 2001 $MORE
all_there 2 2001 $MORE
exec 3>&- 5>&-
wait $writer || fail "the writer ended with $?"
wait $reader || fail "the reader ended with $?"
run memkv pool check "$home"
pass "it is back: the same processes have all blocks, exact, and go on; check finds nothing"
