#!/bin/sh
# Hands the tasks to other nodes and gives up the vote. A manager that leaves
# without being demoted stays a member that is counted and never answers.
set -eu
. ./swarm.sh

command -v docker >/dev/null || exit 0
state=$(membership) || exit 75
[ "$state" = "active true" ] || exit 0
# Nobody counts votes any more when the whole swarm goes.
[ -z "${REBAR_WIPE-}" ] || exit 0

# Without a quorum there is nothing left that could be harmed, or be asked.
if ! managers=$(timeout 60 docker node ls --filter role=manager --quiet); then
    rebar-control note "the swarm has no quorum: leaving without demotion"
    exit 0
fi
# The last one takes the swarm with it.
[ "$(printf '%s\n' "$managers" | wc -l)" -gt 1 ] || exit 0

id=$(node_id)
rebar-control progress 20 "moving tasks away"
docker node update --availability drain "$id" >/dev/null || exit 75

idle() {
    ! docker node ps "$id" --format '{{.CurrentState}}' | grep -q '^Running'
}
until_true 120 idle || exit 75

rebar-control progress 70 "demoting"
docker node demote "$id" >/dev/null || exit 75
demoted() {
    [ "$(membership)" = "active false" ]
}
until_true 60 demoted || exit 75
