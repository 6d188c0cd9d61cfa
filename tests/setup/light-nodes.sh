#!/bin/sh
# Makes sure that this machine can carry light nodes: Docker Engine and its containerd, runit as their service manager, iproute2 and
# iptables. Idempotent.
set -eu

say() { printf 'light nodes setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

PATH=$PATH:/usr/sbin:/sbin
"$(dirname "$0")/docker.sh"

missing=
for it in runsvdir:runit ip:iproute2 nsenter:util-linux hostname:hostname curl:curl openssl:openssl; do
    command -v "${it%%:*}" >/dev/null || missing="$missing ${it#*:}"
done
[ -n "$missing" ] || exit 0
[ "$(id -u)" = 0 ] || die "needs root to install$missing"
say "installing$missing"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # one word a package
apt-get install -y -qq --no-install-recommends $missing >&2 ||
    { apt-get update -qq >&2 && apt-get install -y -qq --no-install-recommends $missing >&2; } ||
    die "apt-get could not install$missing; is a Debian mirror reachable?"
