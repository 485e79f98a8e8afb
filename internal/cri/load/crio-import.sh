# Unpacks the OCI layout on stdin, of which layers that the store has are missing, and
# imports it. One at a time, so that what an earlier one left that was killed can go.
set -e
base=/var/lib/containers/kluster-load
exec 9> "$base.lock"
flock 9
rm -rf "$base"
mkdir -p "$base/layout" "$base/tmp"
trap 'rm -rf "$base"' EXIT
tar --extract --no-same-owner --directory "$base/layout" --file -
TMPDIR=$base/tmp kluster-images "$base/layout"
