#!/bin/sh
# The certificate is the one asked for, and this very swarm counts on the node.
set -eu
. ./swarm.sh

[ "$(membership)" = active ] || exit 1
rebar-input ca_pem | cmp -s - "$dir/ca.pem" || exit 1
rebar-input cert_pem | cmp -s - "$dir/cert.pem" || exit 1
[ "$(api node inspect "$(node_id)" --format '{{.Spec.Availability}} {{.Status.State}}')" = "active ready" ] || exit 1
# A join that went on after its attempt had ended has removed nobody.
others=$(earlier_lives) || exit 1
[ -z "$others" ] || exit 1
rebar-output node_id "$(node_id)"
