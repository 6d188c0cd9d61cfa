#!/bin/sh
# The other managers see this one, and it has the state of the swarm.
set -eu
. ./swarm.sh

seen=$(docker node inspect self --format '{{.Status.State}} {{.ManagerStatus.Reachability}}' 2>&1) || exit 75
[ "$seen" = "ready reachable" ] || exit 75
