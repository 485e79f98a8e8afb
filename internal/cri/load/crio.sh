# Prints what CRI-O's store and the preloaded one beside it have of images; see
# imageload.ParseHeld. Layers are found by digest, plain or compressed.
root=/var/lib/containers/storage
for store in "$root" $(sed -n "s/^ *additionalimagestores *= *\[['\"]\([^'\"]*\)['\"]\].*/\1/p" /etc/containers/storage.conf); do
  cat "$store"/*-layers/layers.json 2> /dev/null |
    grep -o '"\(compressed-\)\?diff-digest":"sha256:[0-9a-f]\{64\}"' | sed 's/.*:"\(.*\)"/blob \1/'
done
df -B1 --output=avail "$root" | sed -n '2s/^ */free /p'
echo images
exec crictl --timeout 30s images --output json
