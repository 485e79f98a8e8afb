#!/usr/bin/env bash
# engine.sh sees that a Docker engine answers. Where none does, and this is root
# on Debian or Ubuntu, it installs docker.io and starts it. Running it again
# changes nothing. KLUSTER is the kluster program, which asks the engine.
set -euo pipefail

kluster=${KLUSTER:-bin/kluster}
log=/var/log/kluster-dockerd.log
pidfile=/var/run/docker.pid
engine= # process id of an engine started here

# reachable: only a host that is not fit (4) has no engine. Whatever else kluster
# fails with, no other engine would help.
reachable() {
	local code=0
	"$kluster" -q get clusters -o name >/dev/null 2>&1 || code=$?
	((code != 4))
}

# wait_reachable SECONDS; not longer than an engine started here lives.
wait_reachable() {
	local deadline=$((SECONDS + $1))
	until reachable; do
		((SECONDS < deadline)) || return 1
		[[ -z $engine ]] || kill -0 "$engine" 2>/dev/null || return 1
		sleep 0.5
	done
}

# give_up HINT says what kluster says, and what to do.
give_up() {
	"$kluster" -q get clusters -o name >/dev/null || true
	echo "hint: $1" >&2
	exit 4
}

# install_engine also installs fuse-overlayfs, which dockerd chooses by itself
# where overlayfs does not work; else it would copy every layer (vfs).
install_engine() {
	command -v dockerd >/dev/null && return
	echo "no Docker engine answers: installing docker.io" >&2
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends docker.io iptables fuse-overlayfs ca-certificates >/dev/null
}

# start_by_hand is for machines whose first process is not systemd.
start_by_hand() {
	if ! grep -q ' /sys/fs/cgroup' /proc/mounts; then
		mount -t cgroup2 cgroup2 /sys/fs/cgroup
	fi
	echo "starting dockerd (log: $log, pid: $pidfile)" >&2
	setsid dockerd --pidfile "$pidfile" >>"$log" 2>&1 </dev/null &
	engine=$!
}

if [[ ! -x $kluster ]]; then
	echo "error: no program $kluster: make build" >&2
	exit 1
fi
reachable && exit 0
if [[ -n ${DOCKER_HOST:-}${DOCKER_CONTEXT:-} ]]; then
	give_up "unset DOCKER_HOST and DOCKER_CONTEXT to use an engine of this machine"
fi
if ((EUID != 0)); then
	give_up "start a Docker engine that you may use, or run this as root"
fi
if ! command -v dockerd >/dev/null && ! command -v apt-get >/dev/null; then
	give_up "install a Docker engine: only on Debian and Ubuntu is it done for you"
fi
install_engine
if [[ -d /run/systemd/system ]]; then
	systemctl enable --quiet --now docker
elif [[ ! -e $pidfile ]] || ! wait_reachable 5; then # the package may have started it
	start_by_hand
fi
if ! wait_reachable 60; then
	tail -n 20 "$log" >&2 2>/dev/null || true
	give_up "see $log, or: journalctl -u docker"
fi
