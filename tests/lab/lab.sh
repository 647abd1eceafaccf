#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The lab: boots guests with Debian's kernel under QEMU and tries memkv on media that this machine lacks.
#
#   tests/lab/lab.sh [--build DIR] [--no-install] [--kernel debian|backports] [--short | SCENARIO...]
#
# Ends with 0 (all passed), 77 (nothing could be tried, and why) or 1.  See README.md here.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=$root/build
PATH=$PATH:/usr/sbin:/sbin # which a plain user's may lack
install=1
given=0
kernel=debian # or backports: a newer one, from Debian's backports
all=(devdax fsdax image nvmet_tcp nvmet_rdma fabric_verbs fabric_errors deadline passthrough two_namespaces)
fleets=(buffered_read torn_read late_write two_hosts two_hosts_share paused_host paused_host_share link_cut target_power two_paths
        dax_pair commands_a_get)
newer=(fabric_keys) # which Debian's own kernel cannot do
short=(fabric_verbs devdax dax_pair buffered_read two_hosts) # what shows most a second: some three minutes
# limits end what hangs; a machine with other work takes ten times what README.md says
limit=${LAB_SECONDS:-1200} # for a scenario of one guest, boot and power-off included
fleet_limit=${LAB_FLEET_SECONDS:-2400}
memory_mib=1024 # of one guest
fleet_mib=2304  # of several, and of their QEMUs

skip() {
	echo "SKIP: $*"
	exit 77
}

# with_me COMMAND...: it ends when this script does, however that is; not in a pipeline, whose parts are another's children
with_me() {
	setpriv --pdeathsig TERM "$@"
}

# what the scenarios need on this machine; Debian's names
packages=(qemu-system-x86 busybox-static kmod cpio ndctl daxctl pmdk-tools nvme-cli e2fsprogs iproute2 rdma-core
          ibverbs-providers python3 xz-utils)

# the lists may be old, or none
timeout_apt_get() {
	timeout --foreground 600 apt-get "$@"
}

apt_install() {
	timeout_apt_get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"
}

may_install() {
	[ $install = 1 ] && [ "$(id -u)" -eq 0 ]
}

install_missing() {
	local missing=() package
	for package in "${packages[@]}"; do
		dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
	done
	[ ${#missing[@]} -eq 0 ] && return
	if ! may_install; then
		skip "these packages are missing: ${missing[*]}; tests/lab/lab.sh as root installs them"
	fi
	echo "installing: ${missing[*]}"
	apt_install "${missing[@]}" >"$work/apt.log" 2>&1 || skip "these packages cannot be installed: ${missing[*]} (see $work/apt.log)"
}

# on a machine that has only the sources: the tool, its library and the scenarios' hands
build_memkv() {
	echo "building in $build"
	{ bash "$root/.ci/setup" && cmake -S "$root" -B "$build" -G Ninja -DMEMKV_TESTS=ON && ninja -C "$build" memkv lab_hand block_hand; } \
		>"$work/build.log" 2>&1 || {
		tail -n 40 "$work/build.log"
		exit 1
	}
}

# apt's words for a kernel: Debian's own are those of this machine, backports has lists in $work
kernel_apt() {
	local apt=$work/backports command=$1
	shift
	if [ "$kernel" = debian ]; then
		"$command" "$@"
		return
	fi
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm-backports main" \
		>"$apt/sources.list"
	"$command" -o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$apt/lists" \
		-o "Dir::Cache=$apt/cache" "$@"
}

# the name of what linux-image-amd64 stands for now
kernel_package() {
	kernel_apt apt-cache depends linux-image-amd64 2>/dev/null | awk '/Depends: linux-image-/ {print $2; exit}'
}

# fetch_kernel: $kernel, unpacked in $folder and not installed; sets vmlinuz, version; without: 1, and why in lacking
fetch_kernel() {
	local package have
	package=$(kernel_package)
	have=$(find "$folder/boot" -name 'vmlinuz-*' 2>/dev/null | head -n 1) || true
	if [ -z "$have" ] || { [ -n "$package" ] && [ "${have##*/vmlinuz-}" != "${package#linux-image-}" ]; }; then
		if { may_install || [ "$kernel" != debian ]; } && ! kernel_apt timeout_apt_get update >"$work/apt.log" 2>&1; then
			echo "lab: apt-get update fails (see $work/apt.log)"
		fi
		package=$(kernel_package)
		[ -n "$package" ] || { lacking="no package linux-image-amd64 is known here (apt-get update?)" && return 1; }
		rm -rf "$work/deb"
		mkdir -p "$work/deb"
		if (cd "$work/deb" && kernel_apt timeout_apt_get download "$package") >>"$work/apt.log" 2>&1; then
			dpkg-deb -x "$work"/deb/*.deb "$work/deb/kernel"
			depmod -b "$work/deb/kernel" "${package#linux-image-}"
			rm -rf "$folder"
			mv "$work/deb/kernel" "$folder" # whole or not at all
		elif [ -z "$have" ]; then
			lacking="$package cannot be downloaded (see $work/apt.log)"
			return 1
		else
			echo "lab: $package cannot be downloaded (see $work/apt.log); the kernel that is here serves"
		fi
		rm -rf "$work/deb"
	fi
	vmlinuz=$(find "$folder/boot" -name 'vmlinuz-*' | head -n 1)
	version=${vmlinuz##*/vmlinuz-}
}

# add_program PATH...: with the libraries that it needs
add_program() {
	local program
	for program in "$@"; do
		program=$(command -v "$program") || skip "$program is not on this machine"
		add_to "$tree" "$program"
	done
}

# add_to TREE PROGRAM: likewise, but for the libraries that every guest has
add_to() {
	local file
	cp "$2" "$1/bin/"
	ldd "$2" 2>/dev/null | grep -o '/[^ ]*' | while read -r file; do
		[ -e "$tree/lib/${file##*/}" ] || [ -e "$1/lib/${file##*/}" ] || cp -L "$file" "$1/lib/"
	done
}

add_modules() {
	local name file
	for name in "$@"; do
		modprobe -C /dev/null -d "$folder" -S "$version" --show-depends "$name" 2>/dev/null | awk '$1 == "insmod" {print $2}' |
			while read -r file; do
				install -D -m 644 "$file" "$tree/${file#"$folder/"}"
				[[ $file != *.xz ]] || xz -df "$tree/${file#"$folder/"}" # which busybox cannot load
			done
	done
}

build_initramfs() {
	tree=$work/tree
	rm -rf "$tree"
	mkdir -p "$tree"/{bin,lib,lib64,proc,sys,dev,tmp,mnt,etc,usr,run}
	ln -s ../lib "$tree/usr/lib"
	ln -s ../bin "$tree/usr/bin"
	ln -s bin "$tree/sbin" # where the kernel looks for modprobe
	cp /bin/busybox "$tree/bin/busybox"
	LD_LIBRARY_PATH=$build add_program "$build/memkv"
	[ ! -x "$build/tests/block/block_hand" ] || LD_LIBRARY_PATH=$build add_program "$build/tests/block/block_hand"
	[ ! -x "$hand" ] || LD_LIBRARY_PATH=$build add_program "$hand"
	add_program ndctl daxctl daxio nvme mkfs.ext4 rdma ip
	cp -L /lib64/ld-linux-x86-64.so.2 "$tree/lib64/"
	# what is loaded by name only: the provider of Soft-RoCE
	mkdir -p "$tree/etc/libibverbs.d"
	add_modules nfit nd_pmem dax_pmem device_dax ext4 virtio_pci virtio_blk virtio_net virtio_console nvmet nvmet_tcp nvmet_rdma nvme nvme_tcp \
		nvme_rdma loop brd veth rdma_rxe crc32_generic crc32c_generic
	[ "$kernel" = debian ] || add_modules hmac sha256_generic sha512_generic dh_generic
	mkdir -p "$tree/lib/modules/$version"
	cp "$folder/lib/modules/$version"/modules.{order,builtin,builtin.modinfo} "$tree/lib/modules/$version/"
	depmod -b "$tree" "$version"
	cp "$here"/guest/* "$tree/"
	chmod +x "$tree/init"
	(cd "$tree" && find . | cpio -o -H newc --quiet) >"$initramfs"
}

# with fio and its sixty libraries, for the one scenario that wants it; none where fio is not installed
build_fio() {
	local fio
	rm -rf "$work/fio" "$initramfs.fio"
	if ! command -v fio >/dev/null && may_install; then
		echo "installing: fio"
		apt_install fio >"$work/apt.log" 2>&1 || echo "lab: fio cannot be installed (see $work/apt.log)"
	fi
	fio=$(command -v fio) || return 0
	mkdir -p "$work/fio/bin" "$work/fio/lib"
	add_to "$work/fio" "$fio"
	{ cat "$initramfs" && cd "$work/fio" && find . | cpio -o -H newc --quiet; } >"$initramfs.fio"
}

# use_kernel NAME: fetched, with what guests start from; sets machine, accelerator; 1: cannot be had
use_kernel() {
	kernel=$1
	folder=$work/kernel initramfs=$work/initramfs
	[ "$kernel" = debian ] || folder=$folder-$kernel initramfs=$initramfs-$kernel
	fetch_kernel || return 1
	build_initramfs
	rm -f "$initramfs.fio"
	local processors=2
	[ "$kernel" = debian ] || processors=1 # it patches its own code, and QEMU's emulation of several loses such a patch now and then
	machine=(-M "q35,nvdimm=on" -m "$memory_mib,slots=2,maxmem=4G" -smp "$processors" -nodefaults -no-user-config -nographic -serial stdio -monitor none
	         -no-reboot -kernel "$vmlinuz" -initrd "$initramfs"
	         -netdev "user,id=net" -device "virtio-net-pci,netdev=net,romfile=")
	choose_accelerator
	echo "lab: Linux $version, QEMU by ${accelerator[1]}"
}

# does KVM boot this kernel here?  There are machines where it is present and hangs; asked once for each start of the machine
choose_accelerator() {
	local asked=$work/accelerator-$version known
	accelerator=(-accel "tcg,thread=multi" -cpu max)
	[ -w /dev/kvm ] || return 0
	known="$(cat /proc/sys/kernel/random/boot_id) $version"
	if [ "$(head -n 1 "$asked" 2>/dev/null)" != "$known" ]; then
		echo "$known" >"$asked"
		with_me timeout --foreground 15 setpriv --pdeathsig KILL qemu-system-x86_64 -accel kvm -cpu host "${machine[@]}" \
			-append "$append lab=boot" </dev/null >"$work/boot.log" 2>&1 9>&- || true
		! grep -q '^LAB END 0' "$work/boot.log" || echo kvm >>"$asked"
	fi
	[ "$(sed -n 2p "$asked")" != kvm ] || accelerator=(-accel kvm -cpu host)
}

# pattern NUMBER: a block that guests can make as well
pattern() {
	seq "$1" "$(($1 + 120000))"
}

nvdimm=()
disks=()
prepare() {
	local larger=256M
	nvdimm=() disks=()
	case $1 in
	devdax | fsdax | image)
		truncate -s 0 "$work/nvdimm" && truncate -s 258M "$work/nvdimm"
		nvdimm=(-object "memory-backend-file,id=pmem,size=258M,share=on,mem-path=$work/nvdimm"
		        -device "nvdimm,memdev=pmem,label-size=2M") ;;
	esac
	if [ "$1" = passthrough ]; then
		rm -f "$work/nvme.img"
		truncate -s 256M "$work/nvme.img" # whose commands carry 4 KiB << 5
		disks=(-drive "file=$work/nvme.img,format=raw,if=none,id=nvme,cache=unsafe"
		       -device "nvme,drive=nvme,serial=lab,mdts=5")
	fi
	[ "$1" != nvmet_tcp ] || larger=128M # as large as the namespace
	if [ "$1" = image ] || [ "$1" = nvmet_tcp ]; then
		rm -f "$work/made.img" "$work/back.img"
		"$build/memkv" pool create "$work/made.img" --size 128M >/dev/null
		for n in 1 2 3; do
			pattern $n | "$build/memkv" put "$work/made.img" --name "made $n" >/dev/null
		done
		truncate -s $larger "$work/back.img"
		disks=(-drive "file=$work/made.img,format=raw,if=virtio,cache=unsafe"
		       -drive "file=$work/back.img,format=raw,if=virtio,cache=unsafe")
	fi
}

# what only this machine can say about a scenario that ended well
finish() {
	local n told
	case $1 in image | nvmet_tcp) ;; *) return 0 ;; esac
	if [ "$1" = nvmet_tcp ]; then
		told=$(sed -n 's/^LAB IMAGE //p' "$work/$1.log")
		[ -n "$told" ] && [ "$told" = "$(md5sum <"$work/back.img" | cut -d ' ' -f 1)" ] || return 1
	fi
	"$build/memkv" pool check "$work/back.img" >/dev/null || return 1
	for n in 1 2 3; do
		"$build/memkv" get "$work/back.img" --name "guest $n" | cmp - <(pattern $((n + 10))) || return 1
	done
	if [ "$1" = image ]; then
		echo "PASS image: a pool that the guest made on the DAX device, copied to a file, opens here; 3 blocks exact"
	else
		echo "PASS nvmet_tcp: a pool made on the namespace, its bytes in a file on this machine: opens here, 3 blocks exact"
	fi
}

# outcome SCENARIO WORD SECONDS: a line now, and one at the end
summary=()
outcome() {
	summary+=("$(printf '%-18s %-8s %5d s' "$1" "$2" "$3")")
	echo "$1: $2 in $3 s"
}

# program SCENARIO: what runs it; NAME_share is NAME on a pool that several hosts write to
program() {
	if [ -e "$here/guest/$1.sh" ]; then echo "$here/guest/$1.sh"; else echo "$here/fleet/${1%_share}.py"; fi
}

# kernel_for SCENARIO: the one that it needs is the one in use; 1: cannot be had
kernel_for() {
	local wanted=$chosen
	[[ " ${newer[*]} " != *" $1 "* ]] || wanted=backports
	[ "$kernel" = "$wanted" ] || use_kernel "$wanted" || { kernel=none && return 1; }
	[ "$1" != commands_a_get ] || [ -e "$initramfs.fio" ] || build_fio
}

# run_one SCENARIO: 0 passed, 1 failed, 77 skipped
run_one() {
	local began=$SECONDS log=$work/$1.log status
	prepare "$1"
	with_me timeout --foreground -k 5 "$limit" setpriv --pdeathsig KILL \
		qemu-system-x86_64 "${accelerator[@]}" "${machine[@]}" "${nvdimm[@]}" "${disks[@]}" \
		-append "$append lab=$1" </dev/null >"$log" 2>&1 9>&- || true
	sed -i 's/\r//g' "$log"
	status=$(sed -n 's/^LAB END //p' "$log" | tail -n 1)
	sed -n "s/^LAB \(PASS\|FAIL\|SKIP\|NOTE\) /\1 $1: /p" "$log"
	if [ "$status" = 0 ] && ! finish "$1"; then
		echo "FAIL $1: what came back to this machine is not what it should be"
		status=1
	fi
	local word=FAILED
	case $status in
	0) word=passed ;;
	77) word=skipped ;;
	'')
		echo "FAIL $1: the guest did not end by itself within $limit s; the end of $log:"
		tail -n 20 "$log"
		status=1 ;;
	*)
		tail -n 40 "$log"
		status=1 ;;
	esac
	outcome "$1" "$word" $((SECONDS - began))
	return "$status"
}

# run_fleet SCENARIO: several guests, which a program of its own boots and commands
run_fleet() {
	local began=$SECONDS status=0 word=FAILED
	if [ ! -x "$hand" ]; then
		echo "SKIP $1: there is no $hand: build with -DMEMKV_TESTS=ON"
		outcome "$1" skipped 0
		return 77
	fi
	LAB_SCENARIO=$1 LAB_WORK=$work LAB_KERNEL=$vmlinuz LAB_INITRAMFS=$initramfs LAB_ACCELERATOR="${accelerator[*]}" \
		with_me timeout --foreground -k 5 "$fleet_limit" python3 -B "$(program "$1")" 9>&- || status=$?
	case $status in
	0) word=passed ;;
	77) word=skipped ;;
	124) echo "FAIL $1: not done within $fleet_limit s" ;;
	esac
	[ $status = 0 ] || [ $status = 77 ] || tail -n 5 "$work/$1".*.log
	outcome "$1" "$word" $((SECONDS - began))
	return "$status"
}

scenarios=()
while [ $# -gt 0 ]; do
	case $1 in
	--build) build=$(cd "$2" && pwd) && given=1 && shift ;;
	--no-install) install=0 ;;
	--kernel) [[ "${2:-}" =~ ^(debian|backports)$ ]] || { echo "--kernel is debian or backports" >&2 && exit 2; }
	          kernel=$2 && shift ;;
	--short) scenarios+=("${short[@]}") ;;
	-*) echo "usage: $0 [--build DIR] [--no-install] [--kernel debian|backports] [--short | SCENARIO...]; scenarios: ${all[*]} ${fleets[*]} ${newer[*]}" >&2 && exit 2 ;;
	*) scenarios+=("$1") ;;
	esac
	shift
done
[ ${#scenarios[@]} -gt 0 ] || scenarios=("${all[@]}" "${fleets[@]}" "${newer[@]}")
for scenario in "${scenarios[@]}"; do
	[[ " ${all[*]} ${fleets[*]} ${newer[*]} " == *" $scenario "* ]] ||
		{ echo "no scenario $scenario; there are: ${all[*]} ${fleets[*]} ${newer[*]}" >&2 && exit 2; }
done
chosen=$kernel
hand=$build/tests/lab/lab_hand
trap 'exit 130' INT

[ -x "$build/memkv" ] || { [ $given = 0 ] && may_install; } || { echo "no memkv in $build: build it first, or say --build DIR" >&2 && exit 2; }
[ "$(uname -m)" = x86_64 ] || skip "the lab's guests are x86-64"
free_mib=$(($(sed -n 's/^MemAvailable: *\([0-9]*\).*/\1/p' /proc/meminfo) / 1024))
need_mib=$((memory_mib + 512))
for scenario in "${scenarios[@]}"; do
	[[ "$(program "$scenario")" != *.py ]] || need_mib=$fleet_mib
done
[ "$free_mib" -ge $need_mib ] || skip "$free_mib MiB of memory are free, the guests need $need_mib"
work=$build/lab
mkdir -p "$work"
exec 9>"$work/lock"
flock -n 9 || skip "another lab is running in $work"
install_missing
[ -x "$build/memkv" ] || build_memkv
# in one kernel a host's pages reach the target's socket uncopied, and where two huge pages meet its checks take that for an error
append="console=ttyS0 panic=-1 quiet nvme_core.multipath=N hardened_usercopy=off"
kernel=none

passed=0 failed=0 skipped=0 lab_began=$SECONDS
for scenario in "${scenarios[@]}"; do
	status=0
	if ! kernel_for "$scenario"; then
		[[ " ${newer[*]} " == *" $scenario "* ]] || skip "$lacking"
		echo "SKIP $scenario: $lacking"
		outcome "$scenario" skipped 0
		status=77
	elif [[ "$(program "$scenario")" == *.py ]]; then
		run_fleet "$scenario" || status=$?
	else
		run_one "$scenario" || status=$?
	fi
	case $status in
	0) passed=$((passed + 1)) ;;
	77) skipped=$((skipped + 1)) ;;
	*) failed=$((failed + 1)) ;;
	esac
done
echo "lab: in all"
printf '  %s\n' "${summary[@]}"
echo "lab: $passed passed, $failed failed, $skipped skipped in $((SECONDS - lab_began)) s"
[ $failed -eq 0 ] || exit 1
[ $passed -gt 0 ] || exit 77
