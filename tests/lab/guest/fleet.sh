# SPDX-License-Identifier: Apache-2.0
# A guest of several: obeys lines "NUMBER COMMAND" on a virtio-serial port, each answered with "NUMBER STATUS BYTES" and
# the command's output.
# shellcheck source=tests/lab/guest/common.sh
. /common.sh
# shellcheck source=tests/lab/guest/target.sh
. /target.sh
guest=$(sed -n 's/.*\bguest=\([a-z]*\).*/\1/p' /proc/cmdline)

network() {
	ip link set lo up
	ip link set eth0 mtu 9000 up
	ip addr add "$1/24" dev eth0
}

# the device of the port lab$1
port_of() {
	local port
	for port in /sys/class/virtio-ports/*; do
		[ "$(cat "$port/name")" = "lab$1" ] && echo "/dev/${port##*/}"
	done
}

# hand NUMBER COMMAND...: on a port of its own
hand() {
	local number=$1
	shift
	"$@" <>"$(port_of "$number")" >&0 2>"/tmp/hand$number.err" &
	echo $! >"/tmp/hand$number.pid"
}
hand_ended() {
	local tries=0
	while kill -0 "$(cat "/tmp/hand$1.pid")" 2>/dev/null && [ $tries -lt 600 ]; do
		usleep 100000
		tries=$((tries + 1))
	done
	[ $tries -lt 600 ] || fail "the hand $1 does not end"
}

# serve_make DEVICE: namespace 1 of the subsystem
serve_make() {
	load nvmet nvmet_tcp
	mount -t configfs configfs /sys/kernel/config 2>/dev/null
	local s=/sys/kernel/config/nvmet/subsystems/$NQN
	mkdir "$s" "$s/namespaces/1"
	echo 1 >"$s"/attr_allow_any_host
	echo "lab$guest" >"$s"/attr_serial
	echo 6f0c2d5e-7b1a-4c3d-9e8f-000000000001 >"$s"/namespaces/1/device_uuid
	echo "$1" >"$s"/namespaces/1/device_path
	echo 1 >"$s"/namespaces/1/enable || fail "the target has no namespace"
}

# ram_disk MIB
ram_disk() {
	run modprobe brd rd_nr=1 "rd_size=$(($1 * 1024))"
	[ -b /dev/ram0 ] || mdev -s
}

# connect_to TRANSPORT ADDRESS [OPTIONS]: prints the namespace device.  Options are those of /dev/nvme-fabrics, for Debian 12's
# nvme-cli does not know fast_io_fail_tmo; without, they are those of nvme connect
connect_to() {
	local tries=0 device host options
	load "nvme_$1"
	host=$(ip addr show eth0 | sed -n 's/.*10\.0\.7\.\([0-9]*\).*/\1/p')
	options="hostnqn=nqn.2026-01.org.example:host$host,hostid=6f0c2d5e-7b1a-4c3d-9e8f-0000000010$(printf %02d "$host")"
	if [ -n "$3" ]; then
		echo "transport=$1,traddr=$2,trsvcid=4420,nqn=$NQN,$options,$3" >/dev/nvme-fabrics || fail "not connected by $1: $3"
	else
		# shellcheck disable=SC2046 # words
		run nvme connect -t "$1" -a "$2" -s 4420 -n "$NQN" $(echo "$options" | sed 's/host/--host/; s/,/ --/')
	fi
	while [ $tries -lt 600 ]; do
		for device in /sys/block/nvme[0-9]n[0-9]; do
			[ -e "$device" ] || continue
			[ "$(cat "$device/size")" != 0 ] || continue
			[ -b "/dev/${device##*/}" ] || mdev -s
			echo "/dev/${device##*/}"
			return
		done
		usleep 100000
		tries=$((tries + 1))
	done
	fail "no namespace by $1 appeared"
}

# wait_state STATE: of the first controller; prints nothing
wait_state() {
	local tries=0
	while [ "$(cat /sys/class/nvme/nvme0/state 2>/dev/null)" != "$1" ]; do
		[ $tries -lt 1800 ] || fail "the controller is $(cat /sys/class/nvme/nvme0/state), not $1"
		usleep 100000
		tries=$((tries + 1))
	done
}

# wait_path TRANSPORT: a live controller by it
wait_path() {
	local tries=0 controller
	while true; do
		for controller in /sys/class/nvme/nvme*; do
			grep -q "^$1" "$controller/transport" && grep -q live "$controller/state" && return
		done
		[ $tries -lt 1800 ] || fail "no path by $1 is live"
		usleep 100000
		tries=$((tries + 1))
	done
}

# wait_file FILE SECONDS
wait_file() {
	local tries=0
	until [ -s "$1" ]; do
		[ $tries -lt $(($2 * 10)) ] || fail "no $1 within $2 s"
		usleep 100000
		tries=$((tries + 1))
	done
}

load virtio_pci virtio_console virtio_net
tries=0
until [ -n "$(port_of 0)" ] && [ -e /sys/class/net/eth0 ]; do
	usleep 20000
	tries=$((tries + 1))
	[ $tries -lt 3000 ] || fail "no ports"
done
mdev -s
exec 3<>"$(port_of 0)"
echo ready >&3
while read -r number line <&3; do
	(eval "$line") </dev/null >/tmp/answer 2>&1 3>&-
	status=$?
	echo "$number $status $(wc -c </tmp/answer)" >&3
	cat /tmp/answer >&3
done
