#!/bin/sh
set -eu
. ./swarm.sh

umask 077
rebar-input ca_pem >"$dir/ca.pem"
rebar-input cert_pem >"$dir/cert.pem"

api_answers || { echo "the API at $(rebar-input endpoint):2376 does not answer" >&2; exit 75; }

# A membership that this swarm does not know is left over from one that is gone.
if [ "$(membership)" != inactive ] && ! api node inspect "$(node_id)" >/dev/null 2>&1; then
    docker swarm leave --force
fi

if [ "$(membership)" = inactive ]; then
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

id=$(node_id)
# A drain that was not followed by an undo leaves the node closed.
api node update --availability active "$id" >/dev/null

# Earlier lives of a machine that was rebuilt without leaving.
for other in $(api node ls --filter "name=$(hostname)" --format '{{.ID}} {{.Hostname}} {{.Status}}' |
    awk -v host="$(hostname)" '$2 == host && $3 == "Down" { print $1 }'); do
    [ "$other" = "$id" ] || api node rm --force "$other" >/dev/null
done
rebar-output node_id "$id"
