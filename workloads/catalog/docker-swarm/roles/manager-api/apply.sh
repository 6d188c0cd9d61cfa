#!/bin/sh
# Installs the certificate beside the node's key and lets dockerd listen with
# it, besides its own socket.
set -eu
. ./files.sh

umask 077
rebar-input ca_pem >"$dir/ca.pem"
rebar-input cert_pem >"$dir/cert.pem"
{ other_options; wanted_options; } >"$options.rebar"
chmod 644 "$options.rebar"
mv "$options.rebar" "$options"

service docker restart
rebar-output url "https://$(rebar-input fqdn):2376"
