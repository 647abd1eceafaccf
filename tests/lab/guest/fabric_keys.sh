# SPDX-License-Identifier: Apache-2.0
# DH-HMAC-CHAP: a target that asks for keys, by TCP and by RDMA (Soft-RoCE); each refusal with its message and exit code.
# shellcheck source=tests/lab/guest/common.sh
. /common.sh
# shellcheck source=tests/lab/guest/target.sh
. /target.sh
# shellcheck source=tests/lab/guest/fabric_host.sh
. /fabric_host.sh
KEY=DHHC-1:00:qC0Q0O1b6KHFx+QrkObIdpCSBR6id7YwdkQ0z1boTnU/tn2h:
OTHER=DHHC-1:00:4h4pCcHfPvQaI4ZNhw6hXHXiuSF6AGbYFranikK+TLByiGEa:
CONTROLLER=DHHC-1:03:DK35C4hbzTrVCsHjZdTp7kVmtS8grF/XP2yL88dErunKdLrgcxUKBv5liffXtkRdGBVqD6TaUWjSVI0vTnV+6kyXW+Q=:
MISSING="wants DH-HMAC-CHAP, and the keys are missing or wrong (--dhchap-secret)"

make_host
make_target
host=/sys/kernel/config/nvmet/hosts/$OWN
mkdir "$host"
[ -e "$host/dhchap_key" ] || skip "$(uname -r) is built without NVME_TARGET_AUTH: lab.sh --kernel backports"
echo 0 >/sys/kernel/config/nvmet/subsystems/$NQN/attr_allow_any_host
ln -s "$host" /sys/kernel/config/nvmet/subsystems/$NQN/allowed_hosts/
echo $KEY >"$host/dhchap_key"
umask 077
echo $KEY >/tmp/key
echo $OTHER >/tmp/other
echo $CONTROLLER >/tmp/controller

# no_secret: what was said does not have the keys in it, nor does the log
no_secret() {
	! grep -q "qC0Q\|4h4p\|DK35" /tmp/run.out || fail "a key was printed: $(cat /tmp/run.out)"
	! dmesg | grep -q "qC0Q\|4h4p\|DK35" || fail "a key is in the kernel's log"
}
# nothing_left: of a refused connection
nothing_left() {
	no_secret
	! ls /sys/class/nvme/nvme* >/dev/null 2>&1 || fail "a refused attach left a connection"
}
# keyed SECRET...: the controllers' keys, as the kernel has them
keyed() {
	cat /sys/class/nvme/nvme*/dhchap_secret | grep -qx "$1" || fail "not connected with that key"
}
refused 3 "$MISSING" memkv attach "$TCP"
nothing_left
refused 3 "$MISSING" memkv attach "$TCP" --dhchap-secret /tmp/other
nothing_left
pass "without a key and with a wrong one: refused (3), it says so, no key is printed, nothing is left"

run memkv attach "$TCP" --dhchap-secret /tmp/key
no_secret
keyed $KEY
says "is attached already" memkv attach "$TCP" --dhchap-secret /tmp/key
run memkv pool create "$TCP" --max-block 1M
put_blocks "ns:$UUID" one 1 3
put_blocks "ns:$UUID" kept 4 4 --durable
get_blocks "ns:$UUID" one 1 3
for controller in /sys/class/nvme/nvme[0-9]*; do
	echo 1 >"$controller/reset_controller" # it proves anew who it is
done
get_blocks "ns:$UUID" one 1 3
get_blocks "ns:$UUID" kept 4 4
put_blocks "ns:$UUID" more 5 5
run memkv pool check "$TCP"
run memkv detach "$TCP"
pass "with the key: pool create, puts, exact gets; the same after a reset of the connection; check"

# both ways, by the other groups and digests that the kernel has
echo $CONTROLLER >"$host/dhchap_ctrl_key"
for group in null ffdhe2048; do
	for hash in "hmac(sha256)" "hmac(sha512)"; do
		{ echo "$group" >"$host/dhchap_dhgroup" && echo "$hash" >"$host/dhchap_hash"; } || fail "the target does not take $group, $hash"
		run memkv attach "$TCP" --dhchap-secret /tmp/key --dhchap-ctrl-secret /tmp/controller
		keyed $KEY
		get_blocks "ns:$UUID" one 1 1
		run memkv detach "$TCP"
		note "both ways: $group, $hash"
	done
done
refused 3 "$MISSING" memkv attach "$TCP" --dhchap-secret /tmp/key --dhchap-ctrl-secret /tmp/other
nothing_left
refused 2 "controller's" memkv attach "$TCP" --dhchap-ctrl-secret /tmp/controller
nothing_left
pass "both ways: the target proves itself as well, by four pairs of group and digest; a target with another key is refused"

load rdma_rxe nvmet_rdma
run rdma link add rxe0 type rxe netdev eth0
target_port 3 rdma 10.0.2.15
refused 3 "$MISSING" memkv attach "$RDMA" # with a wrong key Linux 6.12 finds that out after six minutes only
nothing_left
MEMKV_DHCHAP_SECRET=$KEY run memkv attach "$RDMA"
run memkv attach "$TCP" --dhchap-secret /tmp/key --dhchap-ctrl-secret /tmp/controller
get_blocks "ns:$UUID" one 1 3
run memkv detach "$NQN"
pass "rdma: refused without a key; attached with the right one, and TCP as a second path"

# at each boot
run memkv attach "$TCP" --persist --dhchap-secret /tmp/key --dhchap-ctrl-secret /tmp/controller
[ "$(stat -c %a /etc/nvme/config.json)" = 600 ] || fail "others may read the keys: $(stat -c %a /etc/nvme/config.json)"
run nvme disconnect -n "$NQN"
run nvme connect-all
await_pool "$TCP"
keyed $KEY
get_blocks "ns:$UUID" one 1 3
run memkv detach "$NQN"
! grep -q DHHC /etc/nvme/config.json || fail "the keys are still noted"
pass "--persist: nvme connect-all connects with the keys; the file is root's alone; detach takes them out"

# the kernel knows TLS; nobody here does the handshake for it
refused 3 "no TLS with .*tlshd.*no valid PSK found" memkv attach "$TCP" --tls --dhchap-secret /tmp/key --dhchap-ctrl-secret /tmp/controller
nothing_left
pass "TLS without a key in the kernel's keyring: refused (3), it says what is wanted"
