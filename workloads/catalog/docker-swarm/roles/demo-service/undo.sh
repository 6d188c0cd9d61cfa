#!/bin/sh
set -eu
. ./service.sh

command -v docker >/dev/null || exit 0
[ "$(label owner)" = "$(rebar-input node)" ] || exit 0
docker service rm "$service" >/dev/null || exit 75
