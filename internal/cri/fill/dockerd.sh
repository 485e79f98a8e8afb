# Imports the images of /images (an OCI layout with docker's manifest.json) into
# the store of Docker Engine at /var/lib/docker.
mkdir -p /etc/containerd /etc/docker /run/containerd
cat > /etc/containerd/config.toml <<'TOML'
version = 3
disabled_plugins = ['io.containerd.cri.v1.images', 'io.containerd.cri.v1.runtime', 'io.containerd.grpc.v1.cri']
TOML
cat > /etc/docker/daemon.json <<'JSON'
{"storage-driver": "overlay2", "bridge": "none", "iptables": false, "ip6tables": false, "userland-proxy": false, "features": {"containerd-snapshotter": false}}
JSON
containerd > /tmp/containerd.log 2>&1 &
containerd=$!
dockerd --containerd /run/containerd/containerd.sock > /tmp/dockerd.log 2>&1 &
daemon=$!
fail() { tail -n 20 /tmp/containerd.log /tmp/dockerd.log >&2; exit 1; }
api() { curl --silent --show-error --fail --unix-socket /var/run/docker.sock "$@"; }
tries=0
until api http://docker/_ping > /dev/null 2>&1; do
  kill -0 $daemon 2> /dev/null || fail
  tries=$((tries + 1)); [ $tries -lt 300 ] || fail
  sleep 0.1
done
tar -C /images -cf - . | api -X POST -H 'Content-Type: application/x-tar' -T - 'http://docker/images/load?quiet=1' > /tmp/load.log || fail
if grep '"error"' /tmp/load.log >&2; then fail; fi
kill $daemon
wait $daemon || true
kill $containerd
wait $containerd || true
