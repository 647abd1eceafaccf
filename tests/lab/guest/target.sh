# SPDX-License-Identifier: Apache-2.0
# An NVMe-oF target in the guest: a RAM disk behind nvmet.  target_port NUMBER TRANSPORT ADDRESS
NQN=nqn.2026-01.org.example:lab
target_make() {
	load nvmet
	run modprobe brd rd_nr=1 rd_size=131072
	[ -b /dev/ram0 ] || mdev -s
	mount -t configfs configfs /sys/kernel/config 2>/dev/null
	local s=/sys/kernel/config/nvmet/subsystems/$NQN
	mkdir "$s" "$s/namespaces/1"
	echo 1 >"$s"/attr_allow_any_host
	echo /dev/ram0 >"$s"/namespaces/1/device_path
	echo 1 >"$s"/namespaces/1/enable || fail "the target has no namespace"
}
target_port() {
	local p=/sys/kernel/config/nvmet/ports/$1
	mkdir "$p"
	echo "$2" >"$p/addr_trtype"
	echo ipv4 >"$p/addr_adrfam"
	echo "$3" >"$p/addr_traddr"
	echo 4420 >"$p/addr_trsvcid"
	ln -s /sys/kernel/config/nvmet/subsystems/$NQN "$p/subsystems/$NQN" || fail "no port by $2"
}

# target_apart: the target by TCP in a network name space of its own, at 10.9.0.2; in_target COMMAND...: there, where the
# device "port" is its end of the wire
in_target() { nsenter --net=/run/netns/target "$@"; }
target_apart() {
	/bin/ip link set lo up # and not the one of the shell
	run /bin/ip netns add target
	run /bin/ip link add host type veth peer name port netns target
	run /bin/ip addr add 10.9.0.1/24 dev host
	run /bin/ip link set host up
	run in_target /bin/ip addr add 10.9.0.2/24 dev port
	run in_target /bin/ip link set lo up
	run in_target /bin/ip link set port up
	target_make
	# the port's socket belongs to the name space of whoever makes it
	cat >/tmp/port.sh <<'END'
. /common.sh
. /target.sh
target_port 1 tcp 10.9.0.2
END
	run in_target sh /tmp/port.sh
}

# host_connect TRANSPORT ADDRESS: sets device
host_connect() {
	run nvme connect -t "$1" -a "$2" -s 4420 -n "$NQN"
	local tries=0
	device=
	while [ -z "$device" ] && [ $tries -lt 300 ]; do
		for device in /sys/class/nvme/nvme*/nvme*n1; do
			[ -e "$device" ] && grep -q "^$1" "$device/../transport" && break
			device=
		done
		[ -n "$device" ] || usleep 100000
		tries=$((tries + 1))
	done
	[ -n "$device" ] || fail "no namespace by $1 appeared"
	device=/dev/${device##*/}
	[ -b "$device" ] || mdev -s
	note "$device by $1"
}

# try_pool: create, put, get, check, destroy on $device
try_pool() {
	run memkv pool create "$device" --name fabric
	medium_is "$device" "block device"
	put_blocks "$device" one 1 4
	put_blocks "$device" kept 5 6 --durable
	get_blocks "$device" one 1 4
	get_blocks "$device" kept 5 6
	run memkv pool check "$device"
}
