#!/bin/sh
# SPDX-License-Identifier: MIT
# deps.sh PACKAGE...                 installs those of the Debian packages that are missing
# deps.sh --unpack FOLDER PACKAGE... unpacks them into FOLDER/PACKAGE, and installs nothing: for
#                                    those that would take the place of what a machine has already
# Says nothing when there is nothing to do.
set -eu

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
		return
	fi
	command -v sudo >/dev/null || {
		echo "not root, and no sudo: have somebody run: $*" >&2
		exit 1
	}
	sudo "$@"
}

# Into the folder we stand in. Lists may be missing, or name versions that are gone by now.
download() {
	if [ "$(id -u)" -eq 0 ]; then
		set -- -o APT::Sandbox::User=root "$@" # nobody else may write here
	fi
	apt-get download -qq "$@" 2>/dev/null && return
	as_root apt-get update -qq
	apt-get download -qq "$@"
}

if [ "${1-}" = --unpack ]; then
	folder=$2
	shift 2
	for package in "$@"; do
		[ ! -d "$folder/$package" ] || continue
		echo "unpacking: $package into $folder"
		rm -rf "$folder/new"
		mkdir -p "$folder/new/files"
		(cd "$folder/new" && download "$package" && dpkg -x ./*.deb files)
		# Nothing in here is to run with more rights than whoever starts it.
		find "$folder/new/files" -type f -exec chmod ug-s {} +
		mv "$folder/new/files" "$folder/$package"
		rm -rf "$folder/new"
	done
	exit 0
fi

missing=
for package in "$@"; do
	dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
		missing="$missing $package"
done
[ -n "$missing" ] || exit 0

echo "installing:$missing"
# A database package need not create and start a cluster of the system's: tests make their own.
as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
# shellcheck disable=SC2086
as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
