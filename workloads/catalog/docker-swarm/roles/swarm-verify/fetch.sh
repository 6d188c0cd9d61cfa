#!/bin/sh
# Fetches the page by the name of the cluster until every node that runs a
# replica has answered.
set -eu

service=$(rebar-input service)
url=http://$(rebar-input host):$(rebar-input port)/
seen=

expected() {
    docker service ps "$service" --filter desired-state=running --format '{{.Node}} {{.CurrentState}}' |
        awk '$2 == "Running" { print $1 }' | sort -u
}

all_answered() {
    nodes=$(expected)
    [ -n "$nodes" ] && ! printf '%s\n' "$nodes" | grep -qvFx "$seen"
}

end=$(($(date +%s) + 60))
until all_answered; do
    if [ "$(date +%s)" -ge "$end" ]; then
        echo "$url was answered by: ${seen:-nobody}; replicas run on: $(expected | tr '\n' ' ')" >&2
        exit 75
    fi
    if page=$(curl -sS --max-time 5 "$url"); then
        seen=$(printf '%s\n%s\n' "$seen" "${page##*served by }" | sed '/^$/d' | sort -u)
    else
        sleep 0.3
    fi
done

echo "$url was answered by $(printf '%s' "$seen" | tr '\n' ' ')"
rebar-output url "$url"
printf '%s\n' "$seen" | awk '{ printf "%s\"%s\"", NR == 1 ? "[" : ",", $0 } END { print "]" }' |
    rebar-output --json served_by -
