#!/bin/sh
# An mmdebstrap for tests: a root with a few files.
echo "$*" >> "$FAKE_DIR/mmdebstrap.log"
for out; do case $out in *.tar) break ;; esac; done
root=$(mktemp -d)
mkdir -p "$root/etc/apt" "$root/usr/bin" "$root/usr/sbin" "$root/var/lib/dpkg" "$root/dev" "$root/usr/share/doc/busybox-static"
echo secret > "$root/etc/apt/sources.list"
echo root:x:0:0::/root:/bin/sh > "$root/etc/passwd"
echo root:x:0: > "$root/etc/group"
echo 0123456789abcdef > "$root/etc/machine-id"
echo busybox > "$root/usr/bin/busybox"
echo nginx > "$root/usr/sbin/nginx"
echo bash > "$root/usr/bin/bash-static"
mkdir -p "$root/bin" "$root/usr/lib/apache2/modules"
echo "busybox of Debian's" > "$root/bin/busybox"
echo httpd > "$root/usr/sbin/apache2"
for name in authz_core dir mpm_event; do
  echo $name > "$root/usr/lib/apache2/modules/mod_$name.so"
done
lib=usr/lib/x86_64-linux-gnu
mkdir -p "$root/$lib" "$root/lib/x86_64-linux-gnu"
for name in $lib/libapr-1.so.0 $lib/libaprutil-1.so.0 lib/x86_64-linux-gnu/libexpat.so.1; do
  echo "$name" > "$root/$name"
done
for name in crun conmon; do
  echo $name > "$root/usr/bin/$name"
  mkdir -p "$root/usr/share/doc/$name"
done
echo yajl > "$root/$lib/libyajl.so.2.1.0"
ln -s libyajl.so.2.1.0 "$root/$lib/libyajl.so.2"
echo glib > "$root/$lib/libglib-2.0.so.0"
case $* in
*--variant=extract*path-exclude=/usr/share/doc/*) ;;
*--variant=extract*) echo 'busybox-static (1:1.37.0-6) unstable; urgency=low' | gzip > "$root/usr/share/doc/busybox-static/changelog.Debian.gz"
  for name in crun conmon; do
    echo "$name (1.2-3) unstable; urgency=low" | gzip > "$root/usr/share/doc/$name/changelog.Debian.gz"
  done ;;
*) printf 'Package: systemd\nStatus: install ok installed\nVersion: 252.1\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n' > "$root/var/lib/dpkg/status" ;;
esac
tar -C "$root" -cf "$out" .
rm -rf "$root"
