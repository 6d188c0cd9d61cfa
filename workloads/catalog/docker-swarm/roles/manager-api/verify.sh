#!/bin/sh
# The API answers on the node's name: DNS, certificate and listener in one.
set -eu

dir=/etc/rebar-swarm
curl -sS --max-time 5 --cacert "$dir/ca.pem" --cert "$dir/cert.pem" --key "$dir/key.pem" \
    -o /dev/null "https://$(rebar-input fqdn):2376/_ping" || exit 75
