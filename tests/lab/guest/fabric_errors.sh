# SPDX-License-Identifier: Apache-2.0
# What goes wrong when a subsystem is to be attached: each with its message and its exit code, and nothing left behind.
# shellcheck source=tests/lab/guest/common.sh
. /common.sh
# shellcheck source=tests/lab/guest/target.sh
. /target.sh
# shellcheck source=tests/lab/guest/fabric_host.sh
. /fabric_host.sh

refused 3 "kernel's module nvme-tcp is not loaded" as nobody "memkv attach $TCP"
make_host
make_target
refused 3 "no RDMA device" memkv attach "$RDMA"
refused 3 "want root" as nobody "memkv attach $TCP"
refused 4 "Connection refused" memkv attach "nvme+tcp://127.0.0.1:4499/$NQN"
refused 4 "has no subsystem" memkv attach "nvme+tcp://127.0.0.1:4420/nqn.2026-01.org.example:other"
refused 4 "10.0.2.99:4420 by tcp: nobody answers\|10.0.2.99:4420 by tcp: No route" memkv attach "nvme+tcp://10.0.2.99:4420/$NQN"
grep -q tls /dev/nvme-fabrics || refused 3 "cannot do TLS" memkv attach "$TCP" --tls
echo "DHHC-1:00:ia6zGodOr4SEG0Zzaw398rpY0wqipUWj4jWjUh4HWUz6aQ2n:" >/tmp/key
chmod 600 /tmp/key
[ -e /sys/module/nvme_auth ] || refused 3 "cannot do DH-HMAC-CHAP" memkv attach "$TCP" --dhchap-secret /tmp/key
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

