#!/bin/sh
# Takes the engine of this node away, with its data. The programs stay, as they
# are the machine's.
set -eu

[ -d /etc/sv/docker ] || exit 0
rm -f /etc/service/docker
# A supervisor that is not there has nothing to stop.
sv -w 60 force-shutdown /etc/sv/docker >/dev/null 2>&1 || ! pidof dockerd >/dev/null || exit 75

# Namespaces of the engine's networks stay mounted after it has stopped.
awk '$5 ~ "^/(var/)?run/docker/" { print $5 }' /proc/self/mountinfo | sort -r |
    while read -r place; do umount "$place" || umount --lazy "$place"; done

# The directory is a mount point, so it is emptied and stays.
find /var/lib/docker -mindepth 1 -delete
rm -rf /run/docker /etc/docker /etc/sv/docker /etc/init.d/docker /var/log/docker
for interface in docker0 docker_gwbridge; do
    ip link delete "$interface" 2>/dev/null || true
done
