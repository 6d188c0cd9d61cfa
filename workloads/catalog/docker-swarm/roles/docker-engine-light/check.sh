#!/bin/sh
# The engine of this node answers, and is the one that the role made.
set -eu

[ -L /etc/service/docker ] || exit 1
version=$(docker info --format '{{.ServerVersion}}' 2>/dev/null) || exit 1
[ -n "$version" ] && command -v curl >/dev/null || exit 1
rebar-output version "$version"
