#!/bin/sh
set -eu
. ./outputs.sh

state=$(docker info --format '{{.Swarm.LocalNodeState}}') || exit 75
if [ "$state" != inactive ]; then
    echo "this node is in a swarm already (state $state) and does not manage it: docker swarm leave --force" >&2
    exit 1
fi
docker swarm init --advertise-addr "$(rebar-input address)" \
    --default-addr-pool "$(rebar-input addr_pool)" >/dev/null
if [ "$(rebar-input routing_mesh)" = false ]; then
    # The swarm makes it a moment after it began.
    end=$(($(date +%s) + 30))
    until echo y | docker network rm ingress >/dev/null 2>&1; do
        [ "$(date +%s)" -lt "$end" ] || { echo "the network of the routing mesh cannot be removed" >&2; exit 75; }
        sleep 0.2
    done
fi
write_outputs
