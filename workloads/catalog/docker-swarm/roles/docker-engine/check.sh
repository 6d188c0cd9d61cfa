#!/bin/sh
# An engine answers; where it came from does not matter.
set -eu

version=$(docker info --format '{{.ServerVersion}}' 2>/dev/null) || exit 1
[ -n "$version" ] && command -v curl >/dev/null || exit 1
rebar-output version "$version"
