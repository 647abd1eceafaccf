# SPDX-License-Identifier: Apache-2.0
# A pool image made on a file of the machine outside (vda) on the DAX device, and back (vdb), byte for byte.
# shellcheck source=tests/lab/guest/common.sh
. /common.sh
load virtio_pci virtio_blk
make_namespace devdax
pool=/dev/dax0.0
size=$(blockdev --getsize64 /dev/vda)
run daxio -i /dev/vda -o $pool -l "$size"
get_blocks $pool made 1 3
run memkv pool check $pool
pass "made on a file, copied to the DAX device: opens, 3 blocks exact, check"
run dd if=/dev/vda of=/dev/vdb bs=1M
put_blocks $pool more 4 4
run daxio -i $pool -o /dev/vdb -l "$size"
medium_is /dev/vdb "block device"
get_blocks /dev/vdb made 1 3
get_blocks /dev/vdb more 4 4
pass "copied on to a block device, a block later: opens there, 4 blocks exact"
run memkv pool create $pool --force --yes
pattern 11 >/tmp/block && run memkv put $pool --name "guest 1" /tmp/block
pattern 12 >/tmp/block && run memkv put $pool --name "guest 2" /tmp/block
pattern 13 >/tmp/block && run memkv put $pool --name "guest 3" /tmp/block
run daxio -i $pool -o /dev/vdb
