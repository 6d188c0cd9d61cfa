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

# earlier_lives: the ids of a machine that was rebuilt and never left, of the same
# address. The swarm would take them for nodes that are down.
earlier_lives() {
    own=$(node_id)
    [ -n "$own" ] || { echo "docker does not say yet which node of the swarm this is" >&2; return 1; }
    # Those of this name or that do not answer are looked at alone: every node that
    # asks for every other asks too much of the managers.
    known=$(api node ls --format '{{.ID}} {{.Hostname}} {{.Status}}') || return 1
    suspects=$(printf '%s\n' "$known" |
        awk -v own="$own" -v name="$(hostname)" '$1 != own && ($2 == name || $3 != "Ready") { print $1 }')
    [ -n "$suspects" ] || return 0
    # shellcheck disable=SC2086 # one word an id
    if ! lives=$(api node inspect $suspects --format '{{.ID}} {{.Status.Addr}}' 2>&1); then
        # Another worker may have removed one of them meanwhile.
        case $lives in
        *"o such node"* | *"not found"*) ;;
        *) printf '%s\n' "$lives" >&2 && return 1 ;;
        esac
    fi
    printf '%s\n' "$lives" | awk -v at="$(rebar-input address)" '$2 == at { print $1 }'
}
