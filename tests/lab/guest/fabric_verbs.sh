# SPDX-License-Identifier: Apache-2.0
# NVMe-oF by the tool alone: discover, attach by TCP and by RDMA (Soft-RoCE), pool create, put, get, detach; several paths
# to one namespace; another user than root; connections that are made at boot, or by others.
# shellcheck source=tests/lab/guest/common.sh
. /common.sh
# shellcheck source=tests/lab/guest/target.sh
. /target.sh
# shellcheck source=tests/lab/guest/fabric_host.sh
. /fabric_host.sh

make_host
make_target

# TCP
says "^$TCP$" memkv discover nvme+tcp://127.0.0.1:4420
says "\"nqn\":\"$NQN\"" memkv discover nvme+tcp://127.0.0.1:4420 --json
says "late writes *land within 75 s" memkv attach "$TCP"
device=$(sed -n 's/^device *//p' /tmp/run.out)
cat /tmp/run.out
[ -b "$device" ] || fail "no device was printed"
says "is attached already" memkv attach "$TCP"
says '"outcome":"already"' memkv attach "$TCP" --json
grep -q '"keep_alive_s":5,"fast_io_fail_s":5,"loss_timeout_s":60,"reconnect_delay_s":2' /tmp/run.out || fail "not our time-outs"
grep -q "\"uuid\":\"$UUID\"" /tmp/run.out || fail "not the namespace's UUID"
grep -q '"identified":true' /tmp/run.out || fail "the controller was not asked"
run memkv pool create "$TCP" --name fabric
put_blocks "$device" one 1 3
put_blocks "$device" kept 4 4 --durable
get_blocks "ns:$UUID" one 1 3
says "medium\|block device" memkv pool info "$TCP"
run memkv pool info "nguid:6D656D6B76000000000000000000ABCD"
refused 2 "only attach and the pool verbs" memkv get "$TCP" --name "one 1"
pass "tcp: discover, attach, attach again, pool create, puts, exact gets by ns:UUID, all by the tool"

# somebody else than root, in the group that the udev rule gives the device to
refused 3 "Permission denied" as worker "memkv get $device --name 'one 1'"
chgrp 999 "$device" && chmod 660 "$device"
pattern 7 >/tmp/block
as worker "memkv put $device --name theirs /tmp/block" || fail "an unprivileged put"
as worker "memkv get $device --name theirs" | cmp - /tmp/block || fail "an unprivileged get"
refused 3 "Permission denied" as nobody "memkv get $device --name 'one 1'"
pass "an unprivileged user of the group puts and gets, another does not"

# more paths to the same namespace
run memkv attach "$AGAIN"
load rdma_rxe nvmet_rdma
run rdma link add rxe0 type rxe netdev eth0
target_port 3 rdma 10.0.2.15
says "nvme+rdma://10.0.2.15:4420/$NQN" memkv discover nvme+rdma://10.0.2.15:4420
run memkv attach "$RDMA" --json
[ "$(grep -o '"controller"' /tmp/run.out | wc -l)" = 3 ] || fail "not three paths: $(cat /tmp/run.out)"
[ "$(grep -o '"device"' /tmp/run.out | wc -l)" = 1 ] || fail "not one device"
get_blocks "ns:$UUID" one 1 3
run memkv detach "$TCP"
get_blocks "$device" one 1 3
run memkv detach "$AGAIN"
get_blocks "$device" kept 4 4
pass "three paths, TCP twice and RDMA, are one device; two of them detached, every block is there by the third"

# in use: the last path stays
(memkv replay "$device" --generate sessions=20,turns=20 --agents 1 --block-size 64K >/tmp/replay.out 2>&1 9>&-) &
tries=0
until [ "$(memkv pool info "$device" --json 2>/dev/null | grep -c '"slots_live":1')" = 1 ] || [ $tries = 600 ]; do
	usleep 50000
	tries=$((tries + 1))
done
refused 5 "is in use" memkv detach "$NQN"
killall -9 memkv
wait
run memkv detach "$device"
[ -b "$device" ] && [ -e "/sys/class/block/${device##*/}" ] && fail "$device is still there"
refused 4 "attach '$RDMA' first" memkv pool info "$RDMA"
pass "a writer keeps the last path from being detached; then all is gone"

# RDMA alone
run memkv attach "$RDMA"
get_blocks "ns:$UUID" one 1 3
put_blocks "ns:$UUID" rdma 8 8
run memkv pool check "ns:$UUID"
run memkv detach "ns:$UUID"
pass "rdma: attach, exact gets, a put, check, detach"

# at each boot: what nvme-cli's service does, with what --persist noted
run memkv attach "$TCP" --persist
grep -q '"fast_io_fail_tmo": *5' /etc/nvme/config.json || fail "not noted: $(cat /etc/nvme/config.json)"
[ -e /etc/systemd/system/nvmf-autoconnect.service.d/memkv.conf ] || fail "the unit would not start"
run nvme disconnect -n "$NQN"
run nvme connect-all
await_pool "$TCP"
get_blocks "ns:$UUID" one 1 3
cat /sys/class/nvme/nvme*/fast_io_fail_tmo | grep -qx 5 || fail "connected with other time-outs than noted"
note "after connect-all ctrl_loss_tmo is $(cat /sys/class/nvme/nvme*/ctrl_loss_tmo | tr '\n' ' ')"
run memkv detach "$NQN"
grep -q "$NQN" /etc/nvme/config.json && fail "still noted"
pass "--persist: nvme connect-all connects it again with its time-outs; detach takes it out"

# a connection that somebody else made, with Linux's time-outs
run nvme connect -t tcp -a 127.0.0.1 -s 4420 -n "$NQN"
await_pool "$TCP"
grep -q "fast_io_fail_tmo off and ctrl_loss_tmo 600: a write that is cut off can land up to 670 s later" /tmp/run.out ||
	fail "no warning: $(cat /tmp/run.out)"
pattern 1 >/tmp/want
memkv get "ns:$UUID" --name "one 1" -o /tmp/got || fail "get"
cmp /tmp/want /tmp/got || fail "wrong bytes"
says '"outcome":"tuned"' memkv attach "$TCP" --json
grep -q '"fast_io_fail_s":5,"loss_timeout_s":60' /tmp/run.out || fail "not tuned"
memkv pool info "$TCP" 2>&1 >/dev/null | grep -q fast_io_fail && fail "still warned of"
run memkv pool destroy "$TCP" --yes
run memkv detach "$NQN"
pass "a connection with Linux's default time-outs is warned of; attaching it sets them"
