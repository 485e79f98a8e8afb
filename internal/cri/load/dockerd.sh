# Prints what Docker Engine has of images; see imageload.ParseHeld. The folders of layers
# appear when they are complete.
for layer in /var/lib/docker/image/*/layerdb/sha256/*; do
  echo "chain sha256:${layer##*/}"
done
df -B1 --output=avail /var/lib/docker | sed -n '2s/^ */free /p'
echo images
exec crictl --timeout 30s images --output json
