# Imports the images of /images (an OCI layout) into CRI-O's store at
# /var/lib/containers/storage. Which images must not be collected as garbage is
# said by CRI-O's configuration.
mkdir -p /etc/containers
cat > /etc/containers/storage.conf <<'TOML'
[storage]
driver = "overlay"
graphroot = "/var/lib/containers/storage"
runroot = "/run/containers/storage"
TOML
kluster-images /images
