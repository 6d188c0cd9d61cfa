#!/bin/sh
set -eu
. ./swarm.sh

umask 077
rebar-input ca_pem >"$dir/ca.pem"
rebar-input cert_pem >"$dir/cert.pem"

# The load balancer has to see a manager answer before it sends anyone there.
until_true 30 api_answers || { echo "the API at $(rebar-input endpoint):2376 does not answer" >&2; exit 75; }

# A membership that this swarm does not know is left over from one that is gone.
state=$(membership) || exit 75
if [ "$state" != inactive ] && [ -z "$(node_id)" ]; then
    # A join that the managers were too busy for has left half of one.
    docker swarm leave --force
    state=inactive
fi
if [ "$state" != inactive ] && ! answer=$(api node inspect "$(node_id)" 2>&1); then
    case $answer in
    *"no such node"* | *"not found"*) docker swarm leave --force ;;
    *) printf '%s
' "$answer" >&2 && exit 75 ;;
    esac
    state=inactive
fi

if [ "$state" = inactive ]; then
    # Through the API and not the command line, where the token would be in
    # sight of every user of the machine.
    if ! printf '{"ListenAddr":"0.0.0.0:2377","AdvertiseAddr":"%s","RemoteAddrs":["%s"],"JoinToken":"%s"}' \
        "$(rebar-input address)" "$(rebar-input remote)" "$(rebar-input token)" |
        curl -sS --fail-with-body --unix-socket /var/run/docker.sock \
            -H 'Content-Type: application/json' --data @- http://docker/swarm/join >&2; then
        echo "could not join at $(rebar-input remote)" >&2
        exit 75
    fi
fi

# A drain that was not followed by an undo leaves the node closed.
set_availability active || exit 75

others=$(earlier_lives) || exit 75
for other in $others; do
    api node rm --force "$other" >/dev/null || exit 75
done
rebar-output node_id "$(node_id)"
