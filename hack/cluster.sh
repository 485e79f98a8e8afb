#!/usr/bin/env bash
# cluster.sh NODES makes the cluster "kluster", or says that it is there already.
# KLUSTER is the kluster program. What a killed create left is no cluster: the
# next create removes it.
set -euo pipefail

kluster=${KLUSTER:-bin/kluster}
clusters=$("$kluster" get clusters)
status=$(awk '$1 == "kluster" {print $2}' <<<"$clusters")
case $status in
'' | creating | incomplete)
	"$kluster" build node-image
	"$kluster" create --name kluster --nodes "$1"
	;;
*)
	echo "cluster kluster is there already ($status); to make it anew: $kluster delete kluster" >&2
	;;
esac
