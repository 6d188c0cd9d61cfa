# The files of this role, as the inputs want them; sourced by the phases.
# shellcheck shell=sh disable=SC2034

dir=/etc/rebar-swarm
# What the packaged engine is started with, by whatever starts it.
options=/etc/default/docker

# The lines of this role.
wanted_options() {
    cat <<OPTIONS
# rebar: begin
DOCKER_OPTS="-H tcp://$(rebar-input address):2376 --tlsverify --tlscacert=$dir/ca.pem --tlscert=$dir/cert.pem --tlskey=$dir/key.pem"
# rebar: end
OPTIONS
}

# Those that others wrote.
other_options() {
    [ ! -e "$options" ] || sed '/^# rebar: begin$/,/^# rebar: end$/d' "$options"
}

# same FILE: is it what stdin says?
same() {
    cmp -s - "$1"
}
