# SPDX-License-Identifier: Apache-2.0
# A file on a DAX file system is memory: mapped whole, payload by loads and stores.
# shellcheck source=tests/lab/guest/common.sh
. /common.sh
make_namespace fsdax
load crc32c_generic ext4
run mkfs.ext4 -q -b 4096 /dev/pmem0
run mount -t ext4 -o dax=always /dev/pmem0 /mnt
run memkv pool create /mnt/kv.pool --size 128M
medium_is /mnt/kv.pool memory
put_blocks /mnt/kv.pool one 1 3 --durable
get_blocks /mnt/kv.pool one 1 3
run memkv pool check /mnt/kv.pool
pass "ext4 with dax=always: recognised as memory, 3 durable puts, exact gets, check"
run umount /mnt
run mount -t ext4 -o dax=never /dev/pmem0 /mnt
medium_is /mnt/kv.pool file
get_blocks /mnt/kv.pool one 1 3
pass "the same file with dax=never: a file; the same blocks"
