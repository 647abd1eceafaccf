# SPDX-License-Identifier: Apache-2.0
# NVMe passthrough: on an emulated NVMe controller, whose commands carry 128 KiB, and over TCP with a link that is cut.
# shellcheck source=tests/lab/guest/common.sh
. /common.sh
# shellcheck source=tests/lab/guest/target.sh
. /target.sh
command -v lab_hand >/dev/null || skip "lab_hand was not built (the tests were left out)"
MIB=1048576
HALF=524288
PUT_ENDS=90 # seconds in which a put into a dead link ends: keep-alive 5 s, found out and torn down
HELD=20     # seconds in which a write by block I/O is still held back
LATE=20     # seconds with the link back in which nothing may land

load virtio_pci nvme nvmet_tcp nvme_tcp veth
mdev -s
tries=0
while [ ! -b /dev/nvme0n1 ] && [ $tries -lt 300 ]; do
	usleep 100000
	mdev -s
	tries=$((tries + 1))
done
local_disk=/dev/nvme0n1
[ -b $local_disk ] || fail "the emulated NVMe controller shows no namespace"

# hand WAY DEVICE MODE BYTES: a process with the pool open; ask WORDS...: sets answer
mkfifo /tmp/ask /tmp/answer
hear() { read -r answer <&4 || fail "the hand is gone"; }
tell() { echo "$*" >&3; }
ask() {
	tell "$*"
	hear
}
hand() {
	MEMKV_PASSTHROUGH=$1 lab_hand pool "$2" "$3" "$4" </tmp/ask >/tmp/answer &
	hand=$!
	exec 3>/tmp/ask 4</tmp/answer
	hear
	[ "$answer" = open ] || fail "$2: $answer"
}
leave() {
	exec 3>&-
	wait $hand || fail "the hand ended with $?"
	exec 4<&-
}
expect() { # WANTED WORDS...
	local wanted=$1
	shift
	ask "$*"
	[ "${answer%% *}" = "$wanted" ] || fail "$*: $answer, not $wanted"
}
way_is() { # DEVICE TEXT
	memkv pool info "$1" | grep -q "^I/O  *$2" || fail "$1: not '$2': $(memkv pool info "$1" | grep '^I/O')"
}

# ---- commands, counted by the controller and by the block layer ----
run memkv pool create $local_disk
way_is $local_disk "reads and writes by NVMe passthrough (/dev/ng0n1)"
MEMKV_PASSTHROUGH=writes way_is $local_disk "writes by NVMe passthrough (/dev/ng0n1), reads by block I/O"
MEMKV_PASSTHROUGH=off way_is $local_disk "by block I/O: MEMKV_PASSTHROUGH is off"
by_controller() { nvme smart-log $local_disk -o json | sed -n "s/.*\"host_$1_commands\" *: *\"\{0,1\}\([0-9]*\).*/\1/p"; }
by_block() { awk "{print \$$1}" /sys/class/block/nvme0n1/stat; } # 1: reads, 5: writes
[ -n "$(by_controller write)" ] || fail "the controller does not count: $(nvme smart-log $local_disk -o json)"
count_put() { # WAY SEED: sets commands, block
	hand "$1" $local_disk rw $HALF
	expect ok "put $2 1" # opens a segment
	commands=$(by_controller write) block=$(by_block 5)
	expect ok "put $(($2 + 1)) 1"
	commands=$(($(by_controller write) - commands)) block=$(($(by_block 5) - block))
	leave
}
count_put writes 1
[ "$block" = 0 ] || fail "a put by passthrough wrote $block times by the block layer"
if [ "$commands" -lt 6 ] || [ "$commands" -gt 7 ]; then
	fail "a put of 512 KiB is $commands commands, not 4, and 2 or 3 for header and entry"
fi
ours=$commands
count_put off 11
[ "$block" -ge 3 ] || fail "a put by block I/O wrote $block times by the block layer"
pass "a put of 512 KiB in commands of 128 KiB: $ours commands, none by the block layer (by block I/O: $commands and $block)"

hand all $local_disk ro $HALF
for seed in 1 2 11 12; do
	block=$(by_block 1) commands=$(by_controller read)
	expect 1 "get $seed"
	[ "$(by_block 1)" = "$block" ] || fail "a get by passthrough read by the block layer"
	[ $(($(by_controller read) - commands)) -ge 5 ] || fail "a get of 512 KiB was $(($(by_controller read) - commands)) commands"
done
leave
put_blocks $local_disk one 1 2
put_blocks $local_disk kept 5 6 --durable
MEMKV_PASSTHROUGH=off get_blocks $local_disk one 1 2
MEMKV_PASSTHROUGH=all get_blocks $local_disk kept 5 6
export MEMKV_PASSTHROUGH=off
put_blocks $local_disk other 1 2
unset MEMKV_PASSTHROUGH
get_blocks $local_disk other 1 2
run memkv pool check $local_disk
pass "blocks put by passthrough are there by block I/O and the other way round, exact; check finds nothing"

# ---- who may ----
hand writes $local_disk rw $MIB
expect ok "put 21 1"
expect ok "drop"
block=$(by_block 5)
expect ok "put 22 1"
[ "$(by_block 5)" -gt "$block" ] || fail "a process that is not root any more did not write by the block layer"
expect 1 "get 22"
leave
mv /dev/ng0n1 /dev/elsewhere
way_is $local_disk "by block I/O: /dev/ng0n1 cannot be opened: No such file or directory"
mknod /dev/ng0n1 c 1 3
way_is $local_disk "by block I/O: /dev/ng0n1 is not the node of that device"
put_blocks $local_disk without 1 1
get_blocks $local_disk without 1 1
rm /dev/ng0n1
mv /dev/elsewhere /dev/ng0n1
pass "given up root, no node, a wrong node: block I/O, and pool info says so"

# ---- a writer that is killed: its claim falls with its last command ----
for seed in 31 32 33; do
	hand writes $local_disk rw $MIB
	tell "burst $((seed * 100)) 1000"
	hear
	kill -9 $hand
	exec 3>&- 4<&-
	wait $hand 2>/dev/null
	put_blocks $local_disk "after $seed" 1 1
	get_blocks $local_disk "after $seed" 1 1
done
run memkv pool check $local_disk
pass "three writers killed in the middle of their commands: the next one writes at once, check finds nothing"

# ---- a link that is cut ----
target_apart
host_connect tcp 10.9.0.2
remote=$device
controller=${remote#/dev/}
controller=${controller%n1}
state_is() { # STATE SECONDS
	local until=$(($(date +%s) + $2))
	while [ "$(cat /sys/class/nvme/"$controller"/state)" != "$1" ]; do
		[ "$(date +%s)" -lt $until ] || fail "$controller is $(cat /sys/class/nvme/"$controller"/state), not $1"
		usleep 200000
	done
}
disk() { dd if=/dev/ram0 bs=1M iflag=direct 2>/dev/null | md5sum; } # past the page cache, which the target goes past
run memkv pool create "$remote" --max-block 1M
way_is "$remote" "writes by NVMe passthrough (/dev/ng1n1) where several hosts write, reads by block I/O"

hand off "$remote" rw $MIB
expect ok "put 1 1"
run in_target /bin/ip link set port down
tell "put 2 1"
sleep $HELD
before=$(disk)
run in_target /bin/ip link set port up
hear
[ "${answer%% *}" = ok ] || fail "by block I/O a put on default settings ended with $answer"
[ "$(disk)" != "$before" ] || fail "by block I/O nothing landed late: this cannot show what it should"
leave
state_is live 60
pass "by block I/O, default settings: the put was held for ${answer#* } ms, and landed when the link was back"

hand writes "$remote" rw $MIB
expect ok "put 3 1"
run in_target /bin/ip link set port down
began=$(date +%s)
ask "put 4 1"
took=$(($(date +%s) - began))
[ "${answer%% *}" != ok ] || fail "a put into a dead link is acknowledged: $answer"
[ $took -le $PUT_ENDS ] || fail "the put ended after $took s only: $answer"
put=$answer
ask "put 5 1"
if [ "${answer%% *}" = ok ] || [ "${answer#* }" -ge 1000 ]; then
	fail "the next put: $answer"
fi
before=$(disk)
run in_target /bin/ip link set port up
state_is live 60
sleep $LATE
[ "$(disk)" = "$before" ] || fail "a write landed after it had failed"
pass "by passthrough, the same settings: the put ended after $took s (${put%% *}), the next at once (${answer%% *}); in $LATE s with the link back nothing landed"
expect open "reopen"
expect ok "put 6 1"
for seed in 1 2 3 6; do
	expect 1 "get $seed"
done
leave
run memkv pool check "$remote"
MEMKV_PASSTHROUGH=off lab_hand pool "$remote" ro $MIB <<END >/tmp/said || fail "by block I/O: $(cat /tmp/said)"
get 3
get 6
END
[ "$(cut -d ' ' -f 1 /tmp/said | tr '\n' ' ')" = "open 1 1 " ] || fail "by block I/O: $(cat /tmp/said)"
pass "the same process opens the pool again and goes on; what was acknowledged is there, also by block I/O"

# ---- which is faster here; reported only ----
hundredths() { sed 's/ .*//; s/\.//' /proc/uptime; }
for device in $local_disk "$remote"; do
	run memkv pool destroy "$device" --yes
	run memkv pool create "$device" --max-block 1M
	for way in off all; do
		eval "spent_$way=0 hits_$way=0"
	done
	for way in off all all off off all all off; do
		hand $way "$device" rw $MIB
		ask "churn 1 8 1 r"
		began=$(hundredths)
		ask "churn 1 8 5 r"
		began=$(($(hundredths) - began))
		[ "$(echo "$answer" | cut -d ' ' -f 1,2)" = "40 0" ] || fail "replacing puts: $answer"
		ask "watch 1 8 1500"
		[ "$(echo "$answer" | cut -d ' ' -f 2,3)" = "0 0" ] || fail "gets: $answer"
		eval "spent_$way=\$((spent_$way + began)) hits_$way=\$((hits_$way + ${answer%% *}))"
		leave
	done
	# shellcheck disable=SC2154 # set by eval
	note "$device: 160 replacing puts of 1 MiB by block I/O ${spent_off}0 ms, by passthrough ${spent_all}0 ms; gets in 6 s: $hits_off, $hits_all"
done
