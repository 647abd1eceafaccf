# SPDX-License-Identifier: Apache-2.0
# NVMe-oF by the tool alone: discover, attach by TCP and by RDMA (Soft-RoCE), pool create, put, get, detach; several paths
# to one namespace; what goes wrong, each with its message and exit code.  Target and host are one kernel.
# shellcheck source=tests/lab/guest/common.sh
. /common.sh
# shellcheck source=tests/lab/guest/target.sh
. /target.sh
OWN=nqn.2014-08.org.nvmexpress:uuid:11111111-2222-3333-4444-555555555555
TCP=nvme+tcp://127.0.0.1:4420/$NQN
AGAIN=nvme+tcp://10.0.2.15:4420/$NQN
RDMA=nvme+rdma://10.0.2.15:4420/$NQN
UUID=6d656d6b-7600-4000-8000-0000000000a1
mkdir -p /etc/nvme
echo "$OWN" >/etc/nvme/hostnqn
echo 11111111-2222-3333-4444-555555555555 >/etc/nvme/hostid
printf 'root:x:0:0::/:/bin/sh\nworker:x:1000:999::/tmp:/bin/sh\nnobody:x:65534:65534::/tmp:/bin/sh\n' >/etc/passwd
printf 'root:x:0:\nmemkv:x:999:worker\nnogroup:x:65534:\n' >/etc/group

# says TEXT COMMAND...: ends well and says so
says() {
	local text=$1
	shift
	run "$@"
	grep -q "$text" /tmp/run.out || {
		cat /tmp/run.out
		fail "not '$text': $*"
	}
}
# as USER COMMAND
as() {
	su "$1" -s /bin/sh -c "export PATH=/bin LD_LIBRARY_PATH=/lib; $2"
}

load virtio_pci virtio_net crc32_generic
refused 3 "kernel's module nvme-tcp is not loaded" as nobody "memkv attach $TCP"
modprobe nvme_core multipath=Y
[ "$(cat /sys/module/nvme_core/parameters/multipath)" = Y ] || fail "no native multipath"
ip link set lo up
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0

# the target
load nvmet_tcp
target_make
namespace=/sys/kernel/config/nvmet/subsystems/$NQN/namespaces/1
echo 0 >$namespace/enable
echo $UUID >$namespace/device_uuid
echo 6d656d6b76000000000000000000abcd | sed 's/\(........\)\(....\)\(....\)\(....\)\(............\)/\1-\2-\3-\4-\5/' >$namespace/device_nguid
echo 1 >$namespace/enable
target_port 1 tcp 127.0.0.1
target_port 2 tcp 10.0.2.15

# what goes wrong
refused 3 "no RDMA device" memkv attach "$RDMA"
refused 3 "want root" as nobody "memkv attach $TCP"
refused 4 "Connection refused" memkv attach "nvme+tcp://127.0.0.1:4499/$NQN"
refused 4 "has no subsystem" memkv attach "nvme+tcp://127.0.0.1:4420/nqn.2026-01.org.example:other"
refused 4 "10.0.2.99:4420 by tcp: nobody answers\|10.0.2.99:4420 by tcp: No route" memkv attach "nvme+tcp://10.0.2.99:4420/$NQN"
refused 3 "cannot do TLS" memkv attach "$TCP" --tls
echo "DHHC-1:00:ia6zGodOr4SEG0Zzaw398rpY0wqipUWj4jWjUh4HWUz6aQ2n:" >/tmp/key
chmod 600 /tmp/key
refused 3 "cannot do DH-HMAC-CHAP" memkv attach "$TCP" --dhchap-secret /tmp/key
grep -q ia6z /tmp/run.out && fail "the key was printed"
echo 0 >/sys/kernel/config/nvmet/subsystems/$NQN/attr_allow_any_host
refused 3 "does not let this host in" memkv attach "$TCP"
mkdir /sys/kernel/config/nvmet/hosts/nqn.2026-01.org.example:guest
ln -s /sys/kernel/config/nvmet/hosts/nqn.2026-01.org.example:guest /sys/kernel/config/nvmet/subsystems/$NQN/allowed_hosts/
refused 3 "does not let this host in" memkv attach "$TCP"
run memkv attach "$TCP" --host-nqn nqn.2026-01.org.example:guest
run memkv detach "$TCP"
rm /sys/kernel/config/nvmet/subsystems/$NQN/allowed_hosts/nqn.2026-01.org.example:guest
echo 1 >/sys/kernel/config/nvmet/subsystems/$NQN/attr_allow_any_host
refused 4 "no namespace 9" memkv attach "$TCP?nsid=9"
ls /sys/class/nvme/nvme* >/dev/null 2>&1 && fail "a failed attach left a connection"
refused 4 "attach '$TCP' first" memkv pool info "$TCP"
refused 1 "is not attached" memkv detach "$TCP"
pass "each bad attach: its message, its exit code, nothing left behind; --host-nqn is what the target's list goes by"

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
until [ "$(memkv pool info "$device" --json 2>/dev/null | grep -c '"slots_live":1')" = 1 ] || [ $tries = 100 ]; do
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
tries=0
until memkv pool info "$TCP" >/dev/null 2>&1 || [ $tries = 50 ]; do
	usleep 100000
	tries=$((tries + 1))
done
get_blocks "ns:$UUID" one 1 3
cat /sys/class/nvme/nvme*/fast_io_fail_tmo | grep -qx 5 || fail "connected with other time-outs than noted"
note "after connect-all ctrl_loss_tmo is $(cat /sys/class/nvme/nvme*/ctrl_loss_tmo | tr '\n' ' ')"
run memkv detach "$NQN"
grep -q "$NQN" /etc/nvme/config.json && fail "still noted"
pass "--persist: nvme connect-all connects it again with its time-outs; detach takes it out"

# a connection that somebody else made, with Linux's time-outs
run nvme connect -t tcp -a 127.0.0.1 -s 4420 -n "$NQN"
tries=0
until memkv pool info "$TCP" >/tmp/run.out 2>&1 || [ $tries = 50 ]; do
	usleep 100000
	tries=$((tries + 1))
done
grep -q "fast_io_fail_tmo off and ctrl_loss_tmo 600: a write that is cut off can land up to 670 s later" /tmp/run.out ||
	fail "no warning: $(cat /tmp/run.out)"
pattern 1 >/tmp/want
memkv get "ns:$UUID" --name "one 1" -o /tmp/got || fail "get"
cmp /tmp/want /tmp/got || fail "wrong bytes"
says '"outcome":"tuned"' memkv attach "$TCP" --json
grep -q '"fast_io_fail_s":5,"loss_timeout_s":60' /tmp/run.out || fail "not tuned"
memkv pool info "$TCP" 2>&1 >/dev/null | grep -q fast_io_fail && fail "still warned of"
(cd / && find sys/class/nvme/nvme*/ -maxdepth 1 -type f | sort | while read -r f; do
	case $f in
	*uevent | *delete* | *reset* | *rescan*) ;;
	*) echo "LAB NOTE tree $f $(head -c 300 "$f" 2>/dev/null)" ;;
	esac
done)
echo "LAB NOTE tree device $(readlink -f /sys/class/block/nvme*n1/device)"
for f in nsid uuid nguid eui size queue/logical_block_size queue/max_sectors_kb queue/write_cache queue/io_timeout; do
	echo "LAB NOTE tree ns $f $(cat /sys/class/block/nvme*n1/$f 2>&1)"
done
run memkv pool destroy "$TCP" --yes
run memkv detach "$NQN"
pass "a connection with Linux's default time-outs is warned of; attaching it sets them"
run memkv doctor
grep -A40 '^nvme-tcp' /tmp/run.out
