#!/bin/sh
set -eu
. ./service.sh

[ "$(label owner)" = "$(rebar-input node)" ] || exit 0
docker service rm "$service" >/dev/null
