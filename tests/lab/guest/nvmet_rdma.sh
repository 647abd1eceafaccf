# SPDX-License-Identifier: Apache-2.0
# A pool on an NVMe/RDMA namespace by Soft-RoCE; the same namespace by TCP as a second path.
# shellcheck source=tests/lab/guest/common.sh
. /common.sh
# shellcheck source=tests/lab/guest/target.sh
. /target.sh
load virtio_pci virtio_net crc32_generic rdma_rxe
ip link set lo up
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
run rdma link add rxe0 type rxe netdev eth0
load nvmet_tcp nvmet_rdma nvme_tcp nvme_rdma
target_make
target_port 1 tcp 127.0.0.1
target_port 2 rdma 10.0.2.15
host_connect rdma 10.0.2.15
try_pool
pass "nvme/rdma (Soft-RoCE): create, 6 puts (2 of them durable), exact gets, check"
host_connect tcp 127.0.0.1
get_blocks "$device" one 1 4
get_blocks "$device" kept 5 6
pass "the same namespace by tcp: the same blocks"
run nvme disconnect -n "$NQN"
