#!/bin/sh
set -eu
. ./strangers.sh

found=$(strangers)
for id in $found; do
    docker node rm --force "$id" || exit 75
done
rebar-output --json removed "$(printf '%s' "$found" | grep -c . || true)"
