#!/bin/sh
# Leaves, and has another manager forget this node.
set -eu
. ./swarm.sh

left=/var/lib/rebar-swarm/left
command -v docker >/dev/null || exit 0
state=$(membership) || exit 75
case ${REBAR_WIPE:+wipe }$state in
*"inactive "*) ;;
"active false")
    # Written down before: once out of the swarm the node knows neither.
    mkdir -p "$(dirname "$left")"
    printf '%s\n%s\n' "$(node_id)" "$(peers)" >"$left"
    docker swarm leave
    ;;
*)
    # The last manager, or one without a quorum.
    docker swarm leave --force
    ;;
esac

[ -f "$left" ] || exit 0
id=$(head -n 1 "$left")
forgotten() {
    for peer in $(tail -n +2 "$left"); do
        if answer=$(on "$peer" node rm --force "$id" 2>&1); then return 0; fi
        case $answer in *"not found"*) return 0 ;; esac
    done
    return 1
}
until_true 30 forgotten ||
    rebar-control note "no manager answered; when one does: docker node rm --force $id"
rm -f "$left"
