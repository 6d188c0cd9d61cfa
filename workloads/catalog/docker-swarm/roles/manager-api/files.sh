# The files of this role, as the inputs want them; sourced by the phases.
# shellcheck shell=sh disable=SC2034

dir=/etc/rebar-swarm
unit=/etc/systemd/system/docker.service.d/rebar-api.conf

wanted_unit() {
    cat <<UNIT
[Service]
Environment="DOCKER_OPTS=-H tcp://$(rebar-input address):2376 --tlsverify --tlscacert=$dir/ca.pem --tlscert=$dir/cert.pem --tlskey=$dir/key.pem"
UNIT
}

# same FILE: is it what stdin says?
same() {
    cmp -s - "$1"
}
