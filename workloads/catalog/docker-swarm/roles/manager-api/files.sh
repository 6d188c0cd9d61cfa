# The files of this role, as the inputs want them; sourced by check and apply.
# shellcheck shell=sh

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
