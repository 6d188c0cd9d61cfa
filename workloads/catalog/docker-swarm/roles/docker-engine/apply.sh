#!/bin/sh
# Installs docker.io, and curl with which other roles speak to its API. What the
# installation added is written down: undo takes away that and nothing else.
set -eu

state=/var/lib/rebar-swarm
mkdir -p "$state"
export DEBIAN_FRONTEND=noninteractive

installed() {
    dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' | sort
}

install() {
    apt-get -o DPkg::Lock::Timeout=120 install -y -qq --no-install-recommends docker.io curl
}

if ! command -v dockerd >/dev/null || ! command -v curl >/dev/null || [ -f "$state/packages-before" ]; then
    # An attempt that was cut off left its list and perhaps half a package.
    [ -f "$state/packages-before" ] || installed >"$state/packages-before"
    dpkg --configure -a

    # Before the packages, so that the engine starts once.
    if ! command -v dockerd >/dev/null; then
        touch "$state/engine-is-ours"
        mkdir -p /etc/docker
        [ -e /etc/docker/daemon.json ] || cp daemon.json /etc/docker/daemon.json
    fi

    rebar-control progress 20 "installing docker.io"
    if ! install; then
        # The mirror has moved on from the lists of this machine.
        apt-get -o DPkg::Lock::Timeout=120 update -qq || exit 75
        install || exit 75
    fi
    installed | comm -13 "$state/packages-before" - >"$state/packages"
    rm "$state/packages-before"
fi

systemctl enable -q docker.service
systemctl start docker.service
rebar-output version "$(docker info --format '{{.ServerVersion}}')"
