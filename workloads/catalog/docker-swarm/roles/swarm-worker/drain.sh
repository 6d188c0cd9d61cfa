#!/bin/sh
# Has the swarm move the tasks of this node elsewhere, and waits until none runs.
set -eu
. ./swarm.sh

command -v docker >/dev/null || exit 0
state=$(membership) || exit 75
[ "$state" = active ] || exit 0
# There is no elsewhere when the whole swarm goes.
[ -z "${REBAR_WIPE-}" ] || exit 0
id=$(node_id)

# With no manager left nobody can move anything; the node may still go.
if ! until_true 30 api_answers; then
    rebar-control note "no manager answers at $(rebar-input endpoint):2376: leaving without a drain"
    exit 0
fi

rebar-control progress 20 "moving tasks away"
set_availability drain || exit 75
idle() {
    tasks=$(api node ps "$id" --format '{{.CurrentState}}') && ! printf '%s\n' "$tasks" | grep -q '^Running'
}
until_true 240 idle || exit 75
