#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# debian.sh SOURCE DIR [--machine]: builds the Debian packages in DIR, runs lintian, installs them with dpkg into an empty
# root, uses the tool and the library from there, and purges them: nothing may be left.  With --machine dpkg installs
# them on this very machine instead (for a machine that is thrown away).  77: the tools for it are missing.
set -euo pipefail
source=$1 dir=$2 machine=${3:-}
# shellcheck source=tests/packages/verdict.sh
source "$(dirname "$0")/verdict.sh"

for tool in dpkg-buildpackage dh lintian dpkg-gensymbols; do
	command -v "$tool" >/dev/null || skip "no $tool; install build-essential, debhelper and lintian"
done
mkdir -p "$dir"
"$source/.packaging/deb.sh" "$dir/packages" >/dev/null
! grep -n 'dpkg-gensymbols: warning' "$dir/packages/build.log" || fail "the symbols file is out of date (see above)"
told "packages built"

# Not asked of packages that are not uploaded to Debian: an address that receives mail, and a bug that it closes.
suppressed=bogus-mail-host,bogus-mail-host-in-debian-changelog,initial-upload-closes-no-bugs
ls "$source"/cli/man/memkv.1 >/dev/null 2>&1 || suppressed+=,no-manual-page # the tree has no pages
lintian --allow-root --fail-on error,warning,info --display-info --suppress-tags "$suppressed" \
	"$dir"/packages/*.changes || fail "lintian"
told "lintian"

scratch=$(mktemp -d "${TMPDIR:-/var/tmp}/memkv-debian-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
root=$scratch/root
debs=("$dir"/packages/{libmemkv0,libmemkv-dev,memkv}_*.deb)
for deb in "${debs[@]}"; do
	mkdir -p "$scratch/control"
	dpkg-deb -e "$deb" "$scratch/control"
	for script in preinst postinst prerm postrm conffiles config; do
		[ -e "$scratch/control/$script" ] || continue
		# the group that the udev rule gives devices to is made at once, by systemd-sysusers, and by nothing else
		# shellcheck disable=SC2016 # the script's own text
		[[ $script = postinst && $deb = */memkv_* ]] &&
			[ "$(grep -v '^#\|^if\|^fi\|^set' "$scratch/control/$script" | tr -s ' ')" = \
				' systemd-sysusers ${DPKG_ROOT:+--root="$DPKG_ROOT"} memkv.conf' ] && continue
		fail "$deb has a $script: what for?"
	done
	rm -rf "$scratch/control"
done

mkdir -p "$root"
if [ "$machine" = --machine ]; then
	root=
	cycle=(dpkg)
elif [ "$(id -u)" = 0 ]; then
	# a dpkg of its own, which believes that what we depend on is installed as it is on this machine
	cycle=(dpkg --root="$root" --force-script-chrootless)
	mkdir -p "$root"/etc "$root"/var/lib/dpkg/{info,updates}
	for deb in "${debs[@]}"; do
		dpkg-deb -f "$deb" Depends
	done | sed 's/([^)]*)//g; s/|[^,]*//g; s/,/\n/g' | tr -d ' ' | grep -v memkv | sort -u | while read -r needed; do
		dpkg-query -s "$needed" || fail "$needed is needed and not installed"
		echo
		: >"$root/var/lib/dpkg/info/$needed:$(dpkg --print-architecture).list"
	done >"$root/var/lib/dpkg/status"
else
	cycle=()
fi
list() { # every file and folder but dpkg's own; groups stay, as Debian wants it, since files may belong to them
	find "${root:-/usr}" "$root/etc" "$root/var/lib" -path "$root/var/lib/dpkg" -prune -o -print 2>/dev/null |
		grep -v '/etc/\(group\|gshadow\|passwd\|shadow\|\.pwd\.lock\)-\?$' | sort -u || true
}
list >"$scratch/before"
if [ ${#cycle[@]} -gt 0 ]; then
	"${cycle[@]}" -i "${debs[@]}" >"$scratch/dpkg.log" 2>&1 || fail "dpkg -i: $(cat "$scratch/dpkg.log")"
else
	for deb in "${debs[@]}"; do
		dpkg-deb -x "$deb" "$root"
	done
fi
[ "$(list | wc -l)" -gt $(($(wc -l <"$scratch/before") + 15)) ] || fail "hardly anything was installed"

library=$(dirname "$(find "$root/usr/lib" -name libmemkv.so.0 | head -n 1)")
export LD_LIBRARY_PATH=$library
memkv=$root/usr/bin/memkv
pool=$scratch/test.pool
head -c 100000 /dev/urandom >"$scratch/block"
"$memkv" pool create "$pool" --size 64M >/dev/null || fail "create"
"$memkv" put "$pool" --name "a block" "$scratch/block" || fail "put"
"$memkv" get "$pool" --name "a block" -o "$scratch/back" || fail "get"
cmp "$scratch/block" "$scratch/back" || fail "other bytes came back"
! readelf -d "$memkv" | grep -E 'RPATH|RUNPATH' || fail "the packaged tool has a run path"
if [ -n "$root" ]; then
	export PKG_CONFIG_SYSROOT_DIR=$root PKG_CONFIG_PATH=$library/pkgconfig
fi
# shellcheck disable=SC2046 # flags are words
cc -std=c11 -pedantic-errors -Wall -Wextra -Werror "$source/tests/install/consumer.c" -o "$scratch/consumer" \
	$(pkg-config --cflags --libs memkv)
"$scratch/consumer" "$scratch/consumer.pool" || fail "a program that was built with libmemkv-dev"
if [ ${#cycle[@]} -gt 0 ]; then
	grep -q '^memkv:' "$root/etc/group" || fail "there is no group memkv"
fi
grep -q "PROGRAM==\"/usr/bin/memkv pool scan" "$root/usr/lib/udev/rules.d/65-memkv.rules" || fail "the udev rule runs another tool"
told "installed and used"

if [ ${#cycle[@]} -gt 0 ]; then
	"${cycle[@]}" --purge memkv libmemkv-dev libmemkv0 >"$scratch/dpkg.log" 2>&1 || fail "purge: $(cat "$scratch/dpkg.log")"
	list | diff "$scratch/before" - || fail "purge left or took the above"
	told "purged without a trace"
else
	echo "not root: unpacked only; dpkg's install and purge were not tried"
fi
