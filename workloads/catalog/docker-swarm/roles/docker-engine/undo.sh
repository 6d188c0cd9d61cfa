#!/bin/sh
# Takes away the packages that apply added, with their data. An engine that was
# on the machine before is left alone.
set -eu

state=/var/lib/rebar-swarm
[ -f "$state/engine-is-ours" ] || { rm -rf "$state"; exit 0; }

systemctl stop docker.socket docker.service containerd.service 2>/dev/null || true

if [ -s "$state/packages" ]; then
    # shellcheck disable=SC2046 # one word a package
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 purge -y -qq $(cat "$state/packages") || exit 75
fi

# Namespaces of the engine's networks stay mounted after it has stopped.
awk '$5 ~ "^/(var/)?run/docker/" { print $5 }' /proc/self/mountinfo | sort -r |
    while read -r place; do umount "$place" || umount --lazy "$place"; done

# The directory may be a mount point, so it is emptied and stays.
[ ! -d /var/lib/docker ] || find /var/lib/docker -mindepth 1 -delete
rm -rf /var/lib/containerd /run/docker /etc/docker/key.json
if cmp -s daemon.json /etc/docker/daemon.json; then rm /etc/docker/daemon.json; fi
rmdir /etc/docker 2>/dev/null || true

# Interfaces outlive the engine. Its iptables chains stay too, but they are
# empty of rules that matter and the next engine fills them again; flushing
# them would break the name resolution of nodes that are containers.
for interface in docker0 docker_gwbridge; do
    ip link delete "$interface" 2>/dev/null || true
done
rm -rf "$state"
