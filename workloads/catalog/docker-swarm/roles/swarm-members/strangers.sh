# Nodes that never came: the managers gave them a name when they asked to join,
# and they asked again and got another. Sourced by check and apply.
# shellcheck shell=sh

strangers() {
    listed=$(docker node ls --format '{{.ID}} {{.Hostname}}') || exit 75
    printf '%s\n' "$listed" | awk 'NF == 1 { print $1 }' | while read -r id; do
        { rebar-input --lines managers; rebar-input --lines workers; } | grep -qxF "$id" || echo "$id"
    done
}
