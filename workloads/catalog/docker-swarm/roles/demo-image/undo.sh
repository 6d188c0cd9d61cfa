#!/bin/sh
set -eu
. ./name.sh

! docker image inspect "$image" >/dev/null 2>&1 || docker image rm --force "$image" >/dev/null
