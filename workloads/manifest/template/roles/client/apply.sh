#!/bin/sh
set -eu
state=/var/lib/NAME-client
umask 077

mkdir -p "$state"
rebar-input server > "$state/server"
rebar-input token > "$state/token"
