#!/usr/bin/env bash
# need.sh WHAT=PACKAGE... sees that programs (or files, with a slash) are there,
# and installs the Debian packages of those that are not, if it may.
set -euo pipefail

packages=()
for pair in "$@"; do
	what=${pair%%=*}
	case $what in
	*/*) [[ -e $what ]] || packages+=("${pair#*=}") ;;
	*) command -v "$what" >/dev/null || packages+=("${pair#*=}") ;;
	esac
done
((${#packages[@]})) || exit 0

if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
	echo "error: missing: ${packages[*]}" >&2
	echo "hint: install them, on Debian or Ubuntu: sudo apt-get install ${packages[*]}" >&2
	exit 4
fi
echo "installing ${packages[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
