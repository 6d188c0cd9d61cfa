#!/bin/sh
# The key and a request that was made with it, for this name, are there.
set -eu

dir=/etc/rebar-swarm
[ -s "$dir/key.pem" ] && [ -s "$dir/request.pem" ] || exit 1
[ "$(openssl pkey -in "$dir/key.pem" -pubout)" = "$(openssl req -in "$dir/request.pem" -noout -pubkey)" ] || exit 1
openssl req -in "$dir/request.pem" -noout -subject -nameopt multiline |
    grep -qx " *commonName *= $(rebar-input name)" || exit 1
rebar-output csr - <"$dir/request.pem"
