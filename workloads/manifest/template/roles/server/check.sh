#!/bin/sh
# Is it so already? A check that says yes gives the outputs as well.
set -eu
state=/var/lib/NAME

[ -s "$state/token" ] || exit 1
[ "$(cat "$state/greeting" 2>/dev/null)" = "$(rebar-input greeting)" ] || exit 1
rebar-output address "$(rebar-input address)"
rebar-output token - < "$state/token"
