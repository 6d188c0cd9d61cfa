#!/bin/sh
# As many replicas run as are wanted; of host ports a node has one each, so there
# can be no more than nodes.
set -eu
. ./service.sh

want=$(rebar-input replicas)
if [ "$(rebar-input publish_mode)" = host ]; then
    nodes=$(docker node ls --format '{{.Status}} {{.Availability}}' | grep -cx 'Ready Active') || exit 75
    [ "$want" -le "$nodes" ] || want=$nodes
fi
running=$(docker service ps "$service" --filter desired-state=running --format '{{.CurrentState}}' |
    grep -c '^Running') || exit 75
[ "$running" -ge "$want" ] || exit 75
