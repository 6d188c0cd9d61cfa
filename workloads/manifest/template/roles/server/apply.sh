#!/bin/sh
# Runs again after a failure at any point, so every step asks first what is there.
set -eu
state=/var/lib/NAME
umask 077

mkdir -p "$state"
[ -s "$state/token" ] || od -An -N16 -tx1 /dev/urandom | tr -d ' \n' > "$state/token"
rebar-input greeting > "$state/greeting"

rebar-output address "$(rebar-input address)"
rebar-output token - < "$state/token"   # `-` reads the value, so that it is in no list of processes
