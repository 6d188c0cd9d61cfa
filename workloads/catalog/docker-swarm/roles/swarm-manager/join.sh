#!/bin/sh
set -eu
. ./swarm.sh

state=$(membership) || exit 75
case $state in
"inactive "*) ;;
"active true")
    if [ "$(docker info --format '{{.Swarm.Cluster.ID}}')" != "$(rebar-input cluster_id)" ]; then
        echo "this node manages another swarm; if that may go: docker swarm leave --force" >&2
        exit 1
    fi
    rebar-output node_id "$(node_id)"
    exit 0
    ;;
*)
    # Demoted by a drain, or a join that was cut off: start over. The object of
    # the old membership would count as a node that is down.
    old=$(node_id)
    managers=$(peers)
    docker swarm leave --force
    for peer in $managers; do
        if [ -n "$old" ] && on "$peer" node rm --force "$old"; then
            break
        fi
    done
    ;;
esac

# Through the API and not the command line, where the token would be in sight of
# every user of the machine.
if ! printf '{"ListenAddr":"0.0.0.0:2377","AdvertiseAddr":"%s","RemoteAddrs":["%s"],"JoinToken":"%s"}' \
    "$(rebar-input address)" "$(rebar-input remote)" "$(rebar-input token)" |
    curl -sS --fail-with-body --unix-socket /var/run/docker.sock \
        -H 'Content-Type: application/json' --data @- http://docker/swarm/join >&2; then
    echo "could not join at $(rebar-input remote)" >&2
    exit 75
fi

# Earlier lives of a machine that was rebuilt and never left: same address,
# another id. They would go on counting for the quorum.
see_managers() {
    # shellcheck disable=SC2046 # one word an id
    managers=$(docker node inspect $(docker node ls --filter role=manager --quiet) \
        --format '{{.ID}} {{with .ManagerStatus}}{{.Addr}}{{end}}' 2>/dev/null)
}
until_true 30 see_managers || exit 75
own=$(node_id)
for other in $(printf '%s\n' "$managers" |
    awk -v own="$own" -v at="$(rebar-input address):2377" '$1 != own && $2 == at { print $1 }'); do
    docker node demote "$other" >/dev/null || exit 75
    until_true 30 docker node rm --force "$other" >/dev/null || exit 75
done
rebar-output node_id "$own"
