#!/bin/sh
set -eu
. ./files.sh

rm -f "$dir/ca.pem" "$dir/cert.pem"
[ -e "$options" ] || exit 0
other_options >"$options.rebar"
if [ -s "$options.rebar" ]; then mv "$options.rebar" "$options"; else rm -f "$options" "$options.rebar"; fi
# Only an engine that runs has the listener open.
service docker try-restart
