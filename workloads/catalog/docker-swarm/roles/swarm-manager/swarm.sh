# What the phases of this role ask the local engine and the other managers;
# sourced by them.
# shellcheck shell=sh

dir=/etc/rebar-swarm

# "inactive false", "active true" (a manager), "active false" (a worker), ...
membership() {
    docker info --format '{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}'
}

node_id() {
    docker info --format '{{.Swarm.NodeID}}'
}

# The addresses of the other managers, one a line.
peers() {
    own=$(rebar-input address)
    docker info --format '{{range .Swarm.RemoteManagers}}{{println .Addr}}{{end}}' |
        sed -n 's/:2377$//p' | grep -vFx "$own" || true
}

# on ADDRESS COMMAND...: docker, on another manager.
on() {
    address=$1
    shift
    timeout 20 docker -H "tcp://$address:2376" --tlsverify --tlscacert "$dir/ca.pem" \
        --tlscert "$dir/cert.pem" --tlskey "$dir/key.pem" "$@"
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
