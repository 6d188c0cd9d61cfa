#!/bin/sh
# An image of two files, made on the spot: nothing is pulled from anywhere.
# busybox is taken out of its package and not installed, as busybox-static would
# push another busybox off the machine.
set -eu
. ./name.sh

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# apt drops its privileges for a download and must be able to write here.
chmod 755 "$work"
chown _apt "$work"

package=$(find /var/cache/apt/archives -name 'busybox-static_*.deb' | sort | tail -n 1)
if [ -z "$package" ]; then
    (cd "$work" && apt-get download -qq busybox-static) ||
        { apt-get update -qq && (cd "$work" && apt-get download -qq busybox-static); } || exit 75
    package=$(find "$work" -name 'busybox-static_*.deb')
fi
dpkg-deb --extract "$package" "$work/package"

mkdir -p "$work/root/bin" "$work/root/www"
cp "$work/package/bin/busybox" "$work/root/bin/busybox"
cp serve "$work/root/bin/serve"
chmod 755 "$work/root/bin/serve"
tar -C "$work/root" -c . | docker import --change 'CMD ["/bin/serve"]' - "$image" >/dev/null
rebar-output image "$image"
