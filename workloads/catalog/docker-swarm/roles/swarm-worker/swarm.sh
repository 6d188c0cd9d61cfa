# What the phases of this role ask the local engine and the cluster's API;
# sourced by them.
# shellcheck shell=sh

dir=/etc/rebar-swarm

membership() {
    docker info --format '{{.Swarm.LocalNodeState}}'
}

node_id() {
    docker info --format '{{.Swarm.NodeID}}'
}

# api COMMAND...: docker, on whichever manager the load balancer picks.
api() {
    timeout 20 docker -H "tcp://$(rebar-input endpoint):2376" --tlsverify \
        --tlscacert "$dir/ca.pem" --tlscert "$dir/cert.pem" --tlskey "$dir/key.pem" "$@"
}

api_answers() {
    # Of all nodes there may be hundreds.
    api node ls --quiet --filter role=manager >/dev/null 2>&1
}

# set_availability active|drain: tried for a while, since a manager that is about
# to go answers that it is none, and one without a leader refuses.
set_availability() {
    until_true 30 api node update --availability "$1" "$(node_id)" >/dev/null
}

# until_true SECONDS COMMAND...: waits for a condition, for so long.
until_true() {
    end=$(($(date +%s) + $1))
    shift
    until "$@"; do
        [ "$(date +%s)" -lt "$end" ] || return 1
        sleep 0.3
    done
}
