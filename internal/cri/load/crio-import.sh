# Gives the layers of the stream of images on stdin to CRI-O's store, and imports the
# rest as an OCI layout. One at a time, so that what an earlier one left that was killed
# can go.
set -e
base=/var/lib/containers/kluster-load
exec 9< /var/lib/containers
flock 9
rm -rf "$base"
mkdir -p "$base/tmp"
trap 'rm -rf "$base"' EXIT
TMPDIR=$base/tmp kluster-images - "$base/layout"
