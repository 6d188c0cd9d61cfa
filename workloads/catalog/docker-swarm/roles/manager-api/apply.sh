#!/bin/sh
# Installs the certificate beside the node's key and lets dockerd listen with
# it. The packaged unit passes DOCKER_OPTS to dockerd, besides its own socket.
set -eu
. ./files.sh

umask 077
rebar-input ca_pem >"$dir/ca.pem"
rebar-input cert_pem >"$dir/cert.pem"
mkdir -p "$(dirname "$unit")"
wanted_unit >"$unit"
chmod 644 "$unit"

systemctl daemon-reload
systemctl restart docker.service
rebar-output url "https://$(rebar-input fqdn):2376"
