#!/bin/sh
# Makes Docker Engine a service of this node. Its programs are those of the
# machine whose root file system the node has; nothing is installed.
set -eu

for program in dockerd docker curl; do
    if ! command -v "$program" >/dev/null; then
        echo "there is no $program: light nodes share the root of the engine's machine, so install docker.io and curl there" >&2
        exit 1
    fi
done
if [ ! -S /run/containerd/containerd.sock ]; then
    echo "the containerd that light nodes share does not run" >&2
    exit 75
fi

# What the machine's own engine has there is not this one's: its key is its name.
if [ ! -L /etc/service/docker ]; then
    mkdir -p /etc/docker
    rm -f /etc/docker/key.json /etc/default/docker
    cp daemon.json /etc/docker/daemon.json
fi
mkdir -p /etc/sv/docker/log /var/log/docker
install -m 755 docker.run /etc/sv/docker/run
install -m 755 docker.log /etc/sv/docker/log/run
install -m 755 docker.init /etc/init.d/docker
ln -sfn /etc/sv/docker /etc/service/docker

# The service manager looks for new services every five seconds.
end=$(($(date +%s) + 60))
until sv start docker >/dev/null; do
    [ "$(date +%s)" -lt "$end" ] || exit 75
    sleep 0.3
done
until version=$(docker info --format '{{.ServerVersion}}' 2>/dev/null) && [ -n "$version" ]; do
    [ "$(date +%s)" -lt "$end" ] || { tail -n 20 /var/log/docker/current >&2; exit 75; }
    sleep 0.3
done
rebar-output version "$version"
