# SPDX-License-Identifier: Apache-2.0
# A pool on an NVMe/TCP namespace; target and host are one kernel.  Then pool images, byte for byte: one made on a file of
# the machine outside (vda) copied into what the namespace lies on, and what is on the namespace copied back (vdb).
# shellcheck source=tests/lab/guest/common.sh
. /common.sh
# shellcheck source=tests/lab/guest/target.sh
. /target.sh
load virtio_pci virtio_blk
ip link set lo up
load nvmet_tcp nvme_tcp
target_make
target_port 1 tcp 127.0.0.1
host_connect tcp 127.0.0.1
try_pool
pass "nvme/tcp: create, 6 puts (2 of them durable), exact gets, check"
run nvme disconnect -n "$NQN"
[ -b "$device" ] && [ -e "/sys/class/block/${device##*/}" ] && fail "$device is still there"
host_connect tcp 127.0.0.1
get_blocks "$device" one 1 4
get_blocks "$device" kept 5 6
run memkv pool destroy "$device" --yes
pass "disconnected and connected anew: the blocks are there; destroyed"

# past every page cache
bytes() { dd if="$1" bs=1M iflag=direct 2>/dev/null | md5sum | cut -d ' ' -f 1; }
copy() { run dd "if=$1" "of=$2" bs=1M iflag=direct oflag=direct; }
same() {
	local left right
	left=$(bytes "$1") right=$(bytes "$2")
	if [ -z "$left" ] || [ "$left" != "$right" ]; then
		fail "$1 and $2 differ: $left, $right"
	fi
}

[ "$(blockdev --getsize64 /dev/vda)" = "$(blockdev --getsize64 "$device")" ] || fail "/dev/vda is not as large as $device"
! memkv pool info "$device" >/tmp/run.out 2>&1 || fail "$device has a pool before there is one"
run nvme disconnect -n "$NQN"
copy /dev/vda /dev/ram0
host_connect tcp 127.0.0.1
same /dev/vda "$device"
medium_is "$device" "block device"
get_blocks "$device" made 1 3
run memkv pool check "$device"
put_blocks "$device" more 4 4 --durable
get_blocks "$device" more 4 4
pass "made on a file, its bytes copied under the namespace, seen the same by NVMe: opens there, 3 blocks exact, one put more"
copy "$device" /dev/vdb
same "$device" /dev/vdb
get_blocks /dev/vdb made 1 3
get_blocks /dev/vdb more 4 4
pass "the namespace's bytes copied to a disk: opens there, 4 blocks exact"
run memkv pool create "$device" --force --yes
pattern 11 >/tmp/block && run memkv put "$device" --name "guest 1" /tmp/block
pattern 12 >/tmp/block && run memkv put "$device" --name "guest 2" /tmp/block
pattern 13 >/tmp/block && run memkv put "$device" --name "guest 3" /tmp/block
copy "$device" /dev/vdb
echo "LAB IMAGE $(bytes "$device")" # with which this machine compares its file
