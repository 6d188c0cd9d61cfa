#!/bin/sh
set -eu

driver=$(docker info --format '{{.Driver}}' 2>/dev/null) || exit 75
# Without layers every container is a full copy: works, slowly.
[ "$driver" != vfs ] || rebar-control note "storage driver vfs: give /var/lib/docker a file system that overlay2 can use"
