#!/bin/sh
set -eu
. ./service.sh

[ "$(label spec)" = "$(wanted)" ] && [ "$(label owner)" = "$(rebar-input node)" ] || exit 1
./running.sh || exit 1
rebar-output service "$service"
