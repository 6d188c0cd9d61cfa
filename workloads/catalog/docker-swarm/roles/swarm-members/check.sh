#!/bin/sh
set -eu
. ./strangers.sh

found=$(strangers) || exit 1
[ -z "$found" ] || exit 1
rebar-output --json removed 0
