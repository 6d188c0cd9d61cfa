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
write_outputs
