#!/bin/sh
set -eu
. ./files.sh

rebar-input ca_pem | same "$dir/ca.pem" || exit 1
rebar-input cert_pem | same "$dir/cert.pem" || exit 1
{ other_options; wanted_options; } | same "$options" || exit 1
./verify.sh || exit 1
rebar-output url "https://$(rebar-input fqdn):2376"
