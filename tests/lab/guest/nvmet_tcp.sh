# SPDX-License-Identifier: Apache-2.0
# A pool on an NVMe/TCP namespace; target and host are one kernel.
# shellcheck source=tests/lab/guest/common.sh
. /common.sh
# shellcheck source=tests/lab/guest/target.sh
. /target.sh
load virtio_pci
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
