#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# deb.sh DIR: Debian packages of the tree, in DIR: libmemkv0, libmemkv-dev, memkv.  The tree stays as it is; the
# packaging lies in .packaging/debian and is put in its place in a copy.
set -euo pipefail
tree=$(cd "$(dirname "$0")/.." && pwd)
dir=$(mkdir -p "$1" && cd "$1" && pwd)
version=$(sed -n 's/^project(memkv VERSION \([0-9.]*\).*/\1/p' "$tree/CMakeLists.txt")
copy=$dir/memkv-$version

rm -rf "$copy" "$dir"/*.deb "$dir"/memkv_* "$dir/build.log"
mkdir -p "$copy"
# what git tracks or would track; in an unpacked archive, all but builds
if [ "$(git -C "$tree" rev-parse --show-toplevel 2>/dev/null)" = "$tree" ]; then
	git -C "$tree" ls-files -co --exclude-standard -z
else
	(cd "$tree" && find . -name 'build*' -prune -o -type f -print0)
fi | tar -C "$tree" --ignore-failed-read --null -T - -cf - | tar -C "$copy" -xf -
date=$(git -C "$tree" log -1 --format=%cD 2>/dev/null || date -R)
tar -C "$dir" --sort=name --owner=0 --group=0 --mtime="$date" -cJf "$dir/memkv_$version.orig.tar.xz" "memkv-$version"
cp -r "$tree/.packaging/debian" "$copy/debian"
sed -e "s/@VERSION@/$version/" -e "s/@DATE@/$date/" "$copy/debian/changelog.in" >"$copy/debian/changelog"
rm "$copy/debian/changelog.in"
# pages and completions come when the tree has them
for page in "$tree"/cli/man/*.[1-8]; do
	[ -e "$page" ] || continue
	owner=memkv
	[ "${page##*.}" = 3 ] && owner=libmemkv-dev
	echo "usr/share/man/man${page##*.}/${page##*/}" >>"$copy/debian/$owner.install"
done
if ls "$tree"/cli/completion/*.bash >/dev/null 2>&1; then
	echo usr/share/bash-completion >>"$copy/debian/memkv.install"
fi
if ls "$tree"/cli/completion/_* >/dev/null 2>&1; then
	echo usr/share/zsh >>"$copy/debian/memkv.install"
fi
if ls "$tree"/cli/schema/*.json >/dev/null 2>&1; then
	echo usr/share/memkv >>"$copy/debian/memkv.install"
fi
(cd "$copy" && dpkg-buildpackage -us -uc -b) >"$dir/build.log" 2>&1 || {
	tail -n 40 "$dir/build.log" >&2
	echo "memkv: building the packages failed; all of it: $dir/build.log" >&2
	exit 1
}
rm -rf "$copy"
ls "$dir"/*.deb
