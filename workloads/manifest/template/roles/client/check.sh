#!/bin/sh
set -eu
state=/var/lib/NAME-client

[ "$(cat "$state/server" 2>/dev/null)" = "$(rebar-input server)" ] || exit 1
[ "$(cat "$state/token" 2>/dev/null)" = "$(rebar-input token)" ] || exit 1
