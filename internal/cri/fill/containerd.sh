# Imports the images of /images (an OCI layout) into containerd's store at
# /var/lib/containerd, unpacked; layers are then needed no more as archives.
# The arguments are the images that must never be collected as garbage.
mkdir -p /etc/containerd /run/containerd
cat > /tmp/containerd.toml <<'TOML'
version = 3
disabled_plugins = ['io.containerd.cri.v1.images', 'io.containerd.cri.v1.runtime', 'io.containerd.grpc.v1.cri']
TOML
containerd --config /tmp/containerd.toml > /tmp/containerd.log 2>&1 &
daemon=$!
fail() { tail -n 20 /tmp/containerd.log >&2; exit 1; }
tries=0
until ctr version > /dev/null 2>&1; do
  kill -0 $daemon 2> /dev/null || fail
  tries=$((tries + 1)); [ $tries -lt 300 ] || fail
  sleep 0.1
done
tar -C /images -cf - . | ctr -n k8s.io images import --local --discard-unpacked-layers --snapshotter overlayfs - || fail
for image in $(ctr -n k8s.io images ls -q); do
  ctr -n k8s.io images label "$image" io.cri-containerd.image=managed > /dev/null
done
for image; do
  ctr -n k8s.io images label "$image" io.cri-containerd.pinned=pinned > /dev/null
done
ctr -n k8s.io content prune references
kill $daemon
wait $daemon || true
