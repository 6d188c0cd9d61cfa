#!/bin/sh
# Leaves, and has a manager forget this node.
set -eu
. ./swarm.sh

left=/var/lib/rebar-swarm/left
command -v docker >/dev/null || exit 0
state=$(membership) || exit 75
if [ "$state" != inactive ] && [ -n "${REBAR_WIPE-}" ]; then
    # The managers go as well: hundreds of workers need not ask them to be forgotten.
    docker swarm leave --force
elif [ "$state" != inactive ]; then
    # Written down before: once out of the swarm the node does not know its id.
    mkdir -p "$(dirname "$left")"
    node_id >"$left"
    docker swarm leave || docker swarm leave --force
fi

if [ -s "$left" ]; then
    id=$(cat "$left")
    forgotten() {
        if answer=$(api node rm --force "$id" 2>&1); then return 0; fi
        case $answer in *"not found"*) return 0 ;; *) return 1 ;; esac
    }
    until_true 30 forgotten ||
        rebar-control note "no manager answered; when one does: docker node rm --force $id"
fi
rm -f "$left" "$dir/ca.pem" "$dir/cert.pem"
