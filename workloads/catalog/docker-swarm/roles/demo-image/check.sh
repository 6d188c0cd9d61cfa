#!/bin/sh
set -eu
. ./name.sh

docker image inspect "$image" >/dev/null 2>&1 || exit 1
rebar-output image "$image"
