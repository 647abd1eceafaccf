#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# sysroot.sh DIR: Debian's ARM64 libraries that memkv needs, unpacked below DIR.  Nothing is installed on this machine,
# and no architecture is added to its dpkg: apt works on lists and a (empty) status of its own, so it also brings what
# the libraries need in turn.  Needs no root; does nothing when it is all there.
set -euo pipefail

dir=$(mkdir -p "$1" && cd "$1" && pwd)
# without libnvme-dev and libibverbs-dev, so that a build without them is tried with every change
packages=(libc6-dev liburing-dev libpmem2-dev libblkid-dev libssl-dev libxxhash-dev libjson-c-dev check)
[ "$(cat "$dir/complete" 2>/dev/null)" = "${packages[*]}" ] && exit 0

apt=$dir/apt
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
rm -rf "$dir/complete" "$dir/root" "$apt"
mkdir -p "$dir/root" "$apt/lists/partial" "$apt/archives/partial"
: >"$apt/status"

# this machine's own mirrors; where it has no Debian ones, the public one
# shellcheck disable=SC2016 # $(...) is apt's
apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' 'Origin: Debian' 'Component: main' |
	sort -u | sed "s,.*,deb [signed-by=$keyring] & main," >"$apt/sources.list"
[ -s "$apt/sources.list" ] || echo "deb [signed-by=$keyring] http://deb.debian.org/debian bookworm main" >"$apt/sources.list"

get() {
	apt-get -o Dir::State="$apt" -o Dir::State::status="$apt/status" -o Dir::State::lists="$apt/lists" \
		-o Dir::Cache="$apt" -o Dir::Cache::archives="$apt/archives" -o Dir::Etc::sourcelist="$apt/sources.list" \
		-o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferencesparts=/dev/null -o Debug::NoLocking=true \
		-o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o APT::Sandbox::User=root "$@"
}
{ get update && get install -y --no-install-recommends --download-only "${packages[@]}"; } >"$apt/log" 2>&1 || {
	tail -n 5 "$apt/log" >&2
	echo "memkv: cannot fetch the ARM64 libraries" >&2
	exit 1
}
for package in "$apt"/archives/*.deb; do
	dpkg-deb -x "$package" "$dir/root"
done
rm -rf "$apt"
echo "${packages[*]}" >"$dir/complete"
