#!/bin/sh
set -eu
. ./swarm.sh

[ "$(membership)" = "active true" ] || exit 1
[ "$(docker info --format '{{.Swarm.Cluster.ID}}')" = "$(rebar-input cluster_id)" ] || exit 1
rebar-output node_id "$(node_id)"
