# Prints what containerd has of images; see imageload.ParseHeld.
ctr -n k8s.io snapshots ls | sed -n 's/^\(sha256:[0-9a-f]*\) .*Committed *$/chain \1/p' || exit 1
ctr -n k8s.io content ls -q | sed 's/^/blob /' || exit 1
df -B1 --output=avail /var/lib/containerd | sed -n '2s/^ */free /p'
echo images
exec crictl --timeout 30s images --output json
