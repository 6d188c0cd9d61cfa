#!/bin/sh
set -eu
. ./swarm.sh

[ "$(api node inspect "$(node_id)" --format '{{.Status.State}}' 2>/dev/null)" = ready ] || exit 75
