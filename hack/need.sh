#!/usr/bin/env bash
# need.sh [--wish WHY] WHAT=PACKAGE[|PACKAGE]... sees that programs (or files,
# with a slash) are there, and installs the Debian packages of those that are
# not, if it may; of several packages the first that the release has. What may
# not be installed is an error, but with --wish only a note.
set -euo pipefail

wish=
if [[ ${1:-} == --wish ]]; then
	wish=$2
	shift 2
fi

choices=()
for pair in "$@"; do
	what=${pair%%=*}
	case $what in
	*/*) [[ -e $what ]] || choices+=("${pair#*=}") ;;
	*) command -v "$what" >/dev/null || choices+=("${pair#*=}") ;;
	esac
done
((${#choices[@]})) || exit 0

if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
	names=("${choices[@]%%|*}")
	if [[ -n $wish ]]; then
		echo "note: $wish: not installed: ${names[*]}" >&2
		exit 0
	fi
	echo "error: missing: ${names[*]}" >&2
	echo "hint: install them, on Debian or Ubuntu: sudo apt-get install ${names[*]}" >&2
	exit 4
fi

# available PACKAGE|PACKAGE... prints the first that apt knows, else the last.
available() {
	local names name
	IFS='|' read -ra names <<<"$1"
	for name in "${names[@]}"; do
		if [[ -n $(apt-cache show --no-all-versions "$name" 2>/dev/null) ]]; then
			break
		fi
	done
	echo "$name"
}

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
packages=()
for choice in "${choices[@]}"; do
	packages+=("$(available "$choice")")
done
echo "installing ${packages[*]}" >&2
apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
