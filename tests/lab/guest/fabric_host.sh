# SPDX-License-Identifier: Apache-2.0
# What the scenarios of the fabric verbs share: a host with an NQN and users, native multipath, a target with two TCP ports
# and a namespace of known identity.
OWN=nqn.2014-08.org.nvmexpress:uuid:11111111-2222-3333-4444-555555555555
export TCP=nvme+tcp://127.0.0.1:4420/$NQN
export AGAIN=nvme+tcp://10.0.2.15:4420/$NQN
export RDMA=nvme+rdma://10.0.2.15:4420/$NQN
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

# make_host: a network, and native multipath, so that several paths to a namespace are one device
make_host() {
	load virtio_pci virtio_net crc32_generic
	ip link set lo up
	ip link set eth0 up
	ip addr add 10.0.2.15/24 dev eth0
	modprobe nvme_core multipath=Y
	[ "$(cat /sys/module/nvme_core/parameters/multipath)" = Y ] || fail "no native multipath"
}

# make_target: subsystem $NQN by TCP at two addresses
make_target() {
	load nvmet_tcp
	target_make
	local namespace=/sys/kernel/config/nvmet/subsystems/$NQN/namespaces/1
	echo 0 >"$namespace/enable"
	echo "$UUID" >"$namespace/device_uuid"
	echo 6d656d6b-7600-0000-0000-00000000abcd >"$namespace/device_nguid"
	echo 1 >"$namespace/enable"
	target_port 1 tcp 127.0.0.1
	target_port 2 tcp 10.0.2.15
}
