#!/bin/sh
# Makes the node's private key, which never leaves it, and the request that the
# cluster's authority answers with a certificate.
set -eu

dir=/etc/rebar-swarm
umask 077
mkdir -p "$dir"

if ! command -v openssl >/dev/null; then
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=60 install -y -qq openssl || exit 75
fi

# Written aside and moved, so that a half-written key is never taken for one.
if [ ! -s "$dir/key.pem" ]; then
    openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$dir/key.new"
    mv "$dir/key.new" "$dir/key.pem"
fi
openssl req -new -key "$dir/key.pem" -subj "/CN=$(rebar-input name)" -out "$dir/request.new"
mv "$dir/request.new" "$dir/request.pem"
rebar-output csr - <"$dir/request.pem"
